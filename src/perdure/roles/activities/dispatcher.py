"""Who runs now: attempts wait for a slot, run, end, and hand their result to the outbox.

Law. An attempt counts as in flight from `submit` until its result is in the log; never more than `in_flight_max`.
A thread past its time-out cannot be stopped: it keeps its slot and is counted, its result is dropped (the lease has
ended the attempt). When half of the slots are held so, or OVERRUN_THREADS_MAX, the worker is exhausted: only a new
process gives them back.

A plain activity without a time-out may queue behind the slots, `QUEUED_PER_SLOT` deep, so that a thread finds its next
job without waiting for the loop; one with a time-out is claimed only when a slot is free, since its time runs from
the claim.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from functools import partial
from typing import Final, cast

import structlog

from perdure.codec.encoder import Encoder
from perdure.core.commands import CompleteActivity
from perdure.core.limits import OVERRUN_THREADS_MAX
from perdure.ports.clock import Clock
from perdure.ports.log import Outgoing
from perdure.roles.activities.attempt import Attempt, Origin
from perdure.roles.activities.leases import Leases
from perdure.roles.activities.outbox import Outbox
from perdure.roles.activities.settings import ActivitySettings, ActivityStats
from perdure.roles.activities.slots import Job, Slots
from perdure.telemetry.spans import current_tracing

__all__ = ["Dispatcher"]

QUEUED_PER_SLOT: Final = 4

logger = structlog.get_logger(__name__)


class Dispatcher:
    """`on_exhausted` is called once, when too many slots are held for ever."""

    def __init__(
        self,
        *,
        slots: Slots,
        outbox: Outbox,
        clock: Clock,
        instances: str,
        timers: str,
        settings: ActivitySettings,
        stats: ActivityStats,
        on_exhausted: Callable[[], None],
        encode: Encoder,
    ) -> None:
        self._slots = slots
        self._outbox = outbox
        self._clock = clock
        self._instances = instances
        self._encode = encode
        self.tracing = current_tracing(clock)
        self._max = settings.in_flight_max
        self._stats = stats
        self._attempts: dict[tuple[int, int], Attempt] = {}
        self._backlog: deque[Attempt] = deque()
        self._occupied = 0
        self._stuck = 0
        self._stuck_max = min(OVERRUN_THREADS_MAX, (slots.count + 1) // 2)
        self._on_exhausted: Callable[[], None] | None = on_exhausted
        self._draining = False
        self._base: Context = copy_context()
        self._waiters: list[asyncio.Future[None]] = []
        self._leases = Leases(clock, outbox, timers, settings, self._attempts.values(), encode)

    def open(self) -> None:
        self._slots.open(self._jobs_ended)
        self._base = copy_context()

    def context(self) -> Context:
        """A fresh context for an attempt: what one activity sets, no other sees."""
        return self._base.copy()

    @property
    def full(self) -> bool:
        return self._stats.in_flight >= self._max

    async def changed(self) -> None:
        """Wait until something ended or got into the log."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def submit(self, attempt: Attempt) -> None:
        self._stats.in_flight += 1
        self._attempts[attempt.origin.partition, attempt.offset] = attempt
        if attempt.definition.is_async:
            self._begin(attempt)
        elif self._backlog or not self._has_slot(attempt):
            self._backlog.append(attempt)
        else:
            self._begin(attempt)

    def adopt(self, origin: Origin, offset: int, key: bytes) -> bool:
        """A record delivered again, to the worker that is still busy with it: carry on for its new origin."""
        attempt = self._attempts.get((origin.partition, offset))
        if attempt is None or attempt.key != key:
            return False
        attempt.origin = origin
        if attempt.settled:
            origin.settle(offset)
        return True

    def withdraw(self, origin: Origin) -> None:
        """Forget what has not begun for an origin: somebody else gets it."""
        gone = [attempt for attempt in self._backlog if attempt.origin is origin]
        for attempt in gone:
            self._backlog.remove(attempt)
            self._forget(attempt)
        for attempt in cast("list[Attempt]", self._slots.withdraw()):
            if attempt.origin is origin:
                self._occupied -= 1
                self._forget(attempt)
            else:
                self._slots.submit(attempt)

    async def hand_over(self, origins: Sequence[Origin], within_s: float) -> None:
        """What runs for these is not to be run by their next owner as well: short ones end, for the rest a lease speaks."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while running := [each for each in self._attempts.values() if each.origin in origins and each.needs_its_record]:
            left = end - loop.time()
            if left <= 0:
                break
            waiting = asyncio.ensure_future(self.changed())
            await asyncio.wait({waiting}, timeout=left)
            waiting.cancel()
        for attempt in running:
            self._leases.stand_in(attempt)

    async def drain(self, timeout_s: float) -> bool:
        """Begin nothing more; wait for what runs. What does not end in time is left to another delivery: False."""
        self._draining = True
        for job in self._slots.withdraw():
            self._occupied -= 1
            self._forget(cast("Attempt", job))
        while self._backlog:
            self._forget(self._backlog.popleft())
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while running := [
            attempt for attempt in self._attempts.values() if not attempt.finished and not attempt.expired
        ]:
            if loop.time() >= end:
                self._abandon(running)
                return False
            waiting = asyncio.ensure_future(self.changed())
            await asyncio.wait({waiting}, timeout=end - loop.time())
            waiting.cancel()
        return True

    def close(self) -> None:
        """Drop everything that is left, at once."""
        self._draining = True
        self._leases.close()
        self._abandon(list(self._attempts.values()))
        self._slots.close()

    def _abandon(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            attempt.expired = True
            if attempt.deadline is not None:
                attempt.deadline.cancel()
            if attempt.work is not None:
                attempt.work.cancel()

    def _has_slot(self, attempt: Attempt) -> bool:
        places = self._slots.count if attempt.task.timeout_us > 0 else self._slots.count * QUEUED_PER_SLOT
        return self._occupied < places

    def _begin(self, attempt: Attempt) -> None:
        if not attempt.definition.is_async:
            self._occupied += 1
        if attempt.task.timeout_us > 0:
            self._leases.claim(attempt, self._run, self._expire)
        else:
            self._run(attempt)

    def _run(self, attempt: Attempt) -> None:
        if attempt.expired or self._draining or not attempt.origin.live:
            # The lease was too long on its way, or there is no time left, or the record is another worker's by now: nothing
            # has run, the claim stands for it.
            if attempt.expired:
                attempt.settle()
            self._release(attempt)
            self._forget(attempt)
            self._refill()
            return
        loop = asyncio.get_running_loop()
        attempt.started_at = loop.time()
        attempt.clock = loop.time
        if self.tracing is not None:
            from perdure.telemetry.attempts import begin_attempt  # noqa: PLC0415 - OpenTelemetry only where it is used

            attempt.trace = begin_attempt(self.tracing, attempt.task, attempt.instance, attempt.context)
        self._leases.watch()
        if attempt.definition.is_async:
            attempt.work = loop.create_task(attempt.run_async(), context=attempt.context)
            attempt.work.add_done_callback(partial(self._work_ended, attempt))
        else:
            self._slots.submit(attempt)

    def _jobs_ended(self, jobs: Sequence[Job]) -> None:
        for attempt in cast("Sequence[Attempt]", jobs):
            self._ended(attempt)
        self._refill()

    def _work_ended(self, attempt: Attempt, work: asyncio.Task[None]) -> None:
        if not work.cancelled() and work.exception() is not None:  # only what no outcome could be made of
            logger.error("an attempt ended without an outcome", exc_info=work.exception())
        self._ended(attempt)

    def _refill(self) -> None:
        while self._backlog and self._has_slot(self._backlog[0]):
            self._begin(self._backlog.popleft())

    def _ended(self, attempt: Attempt) -> None:
        attempt.finished = True
        if attempt.deadline is not None:
            attempt.deadline.cancel()
        self._release(attempt)
        self._measure(attempt)
        if attempt.expired or attempt.outcome is None:
            if attempt.overran:
                self._stats.overrun -= 1
                self._stuck -= not attempt.definition.is_async
            self._forget(attempt)
            return
        if type(attempt.outcome) is CompleteActivity:
            self._stats.completed += 1
        else:
            self._stats.failed += 1
        headers = attempt.trace.headers if attempt.trace is not None else ()
        records = [Outgoing(self._instances, attempt.target, attempt.key, attempt.command(self._encode), headers)]
        if attempt.lease_until_us:
            records.append(self._leases.cancellation(attempt))
        self._outbox.put(records, partial(self._sent, attempt))
        self._wake()

    def _measure(self, attempt: Attempt) -> None:
        """How long it took; and how long its task had waited, which only the wall clock knows: the log's to ours."""
        if attempt.began_at < 0:
            return  # cancelled before it began
        self._stats.duration_seconds.observe(attempt.ended_at - attempt.began_at)
        if attempt.asked_at_ms:
            ago_s = asyncio.get_running_loop().time() - attempt.began_at
            waited_s = self._clock.now_us() / 1e6 - ago_s - attempt.asked_at_ms / 1e3
            self._stats.queue_seconds.observe(max(waited_s, 0.0))

    def _sent(self, attempt: Attempt) -> None:
        if attempt.trace is not None and attempt.outcome is not None:
            now = asyncio.get_running_loop().time()
            attempt.trace.tell(attempt.outcome, now - attempt.began_at, now - attempt.ended_at)
        attempt.settle()
        self._forget(attempt)

    def _release(self, attempt: Attempt) -> None:
        if not attempt.definition.is_async:
            self._occupied -= 1

    def _forget(self, attempt: Attempt) -> None:
        self._stats.in_flight -= 1
        place = (attempt.origin.partition, attempt.offset)
        if self._attempts.get(place) is attempt:
            del self._attempts[place]
        self._wake()

    def _wake(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _expire(self, attempt: Attempt) -> None:
        """At the deadline. The lease timer ends the attempt; here its work is stopped, if it can be."""
        if attempt.finished or attempt.expired:
            return
        attempt.expired = True
        self._stats.timed_out += 1
        if attempt.started_at < 0:
            return  # its claim is still on the way: `_run` sees the mark
        attempt.overran = True
        attempt.settle()
        self._stats.overrun += 1
        logger.warning(
            "an activity is over its time-out",
            activity=attempt.task.name, instance=attempt.instance, task_id=attempt.task.task_id,
            attempt=attempt.task.attempt, timeout_s=attempt.task.timeout_us / 1e6,
        )  # fmt: skip
        self._wake()
        if attempt.work is not None:
            attempt.work.cancel()
            return
        self._stuck += 1
        if self._stuck >= self._stuck_max and self._on_exhausted is not None:
            exhausted, self._on_exhausted = self._on_exhausted, None
            exhausted()
