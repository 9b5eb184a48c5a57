"""Fires what is due: waits for the top of the heap, sends FireTimer, waits for the acknowledgement, tells the book.

The wall clock decides what is due. The loop only wakes us near that time, and every `recheck_s` besides, since wall
clocks are set and loops' clocks are not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from perdure.codec.encoder import Encoder
from perdure.core.commands import FireTimer
from perdure.ports.clock import Clock
from perdure.ports.errors import LogClosed, RecordTooLarge
from perdure.ports.log import Log, Outgoing
from perdure.roles.timers.book import TimerBook
from perdure.roles.timers.near import Timer, parts_of
from perdure.roles.timers.settings import TimerSettings, TimerStats

__all__ = ["Firing", "append_until_written"]

FIRE_MAX: Final = 2_000  # timers of one append
IDLE_RECHECKS: Final = 30  # with an empty heap the clock is looked at this much more rarely

logger = structlog.get_logger(__name__)


async def append_until_written(log: Log, records: Sequence[Outgoing], settings: TimerSettings) -> None:
    """Append, again and again until it is acknowledged. Raises LogClosed and RecordTooLarge."""
    pause = settings.backoff_s
    while True:
        try:
            await log.append(records)
        except (LogClosed, RecordTooLarge):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a log raises, a timer is late rather than lost
            logger.warning("timers are not in the log yet", error=f"{type(error).__name__}: {error}", retry_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, settings.backoff_max_s)
        else:
            return


class Firing:
    """`on_window` is called when slices are to be loaded or dropped, `on_fired` after each acknowledged batch."""

    def __init__(
        self,
        book: TimerBook,
        *,
        log: Log,
        clock: Clock,
        topic: str,
        settings: TimerSettings,
        stats: TimerStats,
        encode: Encoder,
        on_window: Callable[[], None],
        on_fired: Callable[[], None],
    ) -> None:
        self._book = book
        self._log = log
        self._clock = clock
        self._topic = topic
        self._settings = settings
        self._stats = stats
        self._encode = encode
        self._on_window = on_window
        self._on_fired = on_fired
        self._bell: asyncio.Future[None] | None = None
        self._wakes_at_us = 0
        self._ending = False

    async def run(self) -> None:
        """Until `end`."""
        while not self._ending:
            now_us = self._clock.now_us()
            if self._book.advance(now_us):
                self._on_window()
            due = self._book.due(now_us, FIRE_MAX)
            if due:
                await self._send(due)
            else:
                await self._wait(now_us)

    def look(self) -> None:
        """The heap has changed: wake if its top is due earlier than we wake."""
        next_us = self._book.near.next_us()
        if next_us is not None and next_us < self._wakes_at_us:
            self._ring()

    def end(self) -> None:
        """Let `run` return once what is being sent is acknowledged."""
        self._ending = True
        self._ring()

    async def _send(self, due: Sequence[Timer]) -> None:
        records = [_command(self._topic, timer, self._encode) for timer in due]
        await append_until_written(self._log, records, self._settings)
        now_us = self._clock.now_us()
        self._stats.fired += len(due)
        for timer in due:
            self._stats.lateness_seconds.observe(max(now_us - timer.fire_at_us, 0) / 1e6)
        self._book.fired(due)
        if self._book.droppable(now_us):
            self._on_window()
        self._on_fired()

    async def _wait(self, now_us: int) -> None:
        until_us = self._book.window_ends_us()
        next_us = self._book.near.next_us()
        longest_s = self._settings.recheck_s
        if next_us is None:
            longest_s *= IDLE_RECHECKS
        else:
            until_us = min(until_us, next_us)
        delay_s = min((until_us - now_us) / 1e6, longest_s)
        self._wakes_at_us = now_us + int(delay_s * 1e6)
        loop = asyncio.get_running_loop()
        self._bell = loop.create_future()
        alarm = loop.call_later(delay_s, self._ring)
        try:
            await self._bell
        finally:
            alarm.cancel()
            self._bell = None

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)


def _command(topic: str, timer: Timer, encode: Encoder) -> Outgoing:
    key, name = parts_of(timer.identity)
    run, generation, task_id, attempt, kind = name.split("/")
    command = FireTimer(run, int(generation), int(task_id), int(attempt), kind, timer.fire_at_us)
    return Outgoing(topic, timer.target, key, encode(command))
