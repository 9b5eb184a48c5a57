"""Leases: a durable timer that stands in for a worker, so that an attempt ends even if the worker has died.

Law. A lease is a timer of kind "lease" with the attempt's identity; when it fires, the orchestrator ends the attempt.
Three reasons to hold one:

- the activity has a time-out: the lease is in the log *before* the activity begins and stands at its deadline;
- it has run for `lease_after_s`: the lease is a sign of life, good for `lease_s` and set anew while the worker lives;
- its partition is taken away while it runs: it goes on, and the next owner is not to run it as well.

A task under a lease needs its record no more, so that after `lease_after_s` the partition's position may pass it.
Not sooner, for a task with a time-out either: until then a crash leads to another delivery of the same attempt, at
once; afterwards the crash costs the attempt, when its lease ends. A result cancels the lease in the same append.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from perdure.codec.encoder import Encoder
from perdure.core.effects import CancelTimer, SetTimer
from perdure.ports.clock import Clock
from perdure.ports.log import Outgoing
from perdure.roles.activities.attempt import Attempt
from perdure.roles.activities.outbox import Outbox
from perdure.roles.activities.settings import ActivitySettings

__all__ = ["Leases"]


class Leases:
    """`running` is looked through only while something runs: an idle worker sets no timer."""

    def __init__(
        self,
        clock: Clock,
        outbox: Outbox,
        topic: str,
        settings: ActivitySettings,
        running: Collection[Attempt],
        encode: Encoder,
    ) -> None:
        self._clock = clock
        self._outbox = outbox
        self._topic = topic
        self._settings = settings
        self._running = running
        self._encode = encode
        self._look: asyncio.TimerHandle | None = None
        self._pause_s = min(settings.lease_renew_s / 2, settings.lease_after_s / 4)

    def claim(self, attempt: Attempt, begin: Callable[[Attempt], None], expire: Callable[[Attempt], None]) -> None:
        """Set the lease of a task with a time-out; begin it once that is durable. `expire` comes at the deadline."""
        timeout_us = attempt.task.timeout_us
        loop = asyncio.get_running_loop()
        attempt.deadline = loop.call_later(timeout_us / 1e6, expire, attempt)
        self._outbox.put([self._set(attempt, timeout_us)], lambda: begin(attempt))

    def stand_in(self, attempt: Attempt) -> None:
        """Its record is taken away while it runs: from now on a lease speaks for it, as for a long one."""
        if attempt.task.timeout_us:  # it has begun, so its lease is in the log
            attempt.settle()
            return
        attempt.renew_at = asyncio.get_running_loop().time() + self._settings.lease_renew_s
        self._outbox.put([self._set(attempt, int(self._settings.lease_s * 1e6))], attempt.settle)

    def watch(self) -> None:
        """Something runs: look after it now and then."""
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(self._pause_s, self._look_through)

    def cancellation(self, attempt: Attempt) -> Outgoing:
        task = attempt.task
        timer = CancelTimer(task.run, task.generation, task.task_id, task.attempt, "lease", attempt.lease_until_us)
        return Outgoing(self._topic, attempt.target, attempt.key, self._encode(timer))

    def close(self) -> None:
        if self._look is not None:
            self._look.cancel()

    def _look_through(self) -> None:
        self._look = None
        now = asyncio.get_running_loop().time()
        for attempt in self._running:
            if attempt.finished or attempt.expired or attempt.started_at < 0:
                continue
            if now - attempt.started_at < self._settings.lease_after_s:
                continue
            if attempt.task.timeout_us:
                attempt.settle()
            elif now >= attempt.renew_at:
                attempt.renew_at = now + self._settings.lease_renew_s
                self._outbox.put([self._set(attempt, int(self._settings.lease_s * 1e6))], attempt.settle)
        if self._running:
            self.watch()

    def _set(self, attempt: Attempt, ahead_us: int) -> Outgoing:
        task = attempt.task
        attempt.lease_until_us = self._clock.now_us() + ahead_us
        timer = SetTimer(task.run, task.generation, task.task_id, task.attempt, "lease", attempt.lease_until_us)
        return Outgoing(self._topic, attempt.target, attempt.key, self._encode(timer))
