"""How long history is kept in the log for readers outside, though the store has it.

Records below the answer are all older than the time to keep; they carry the broker's append time, which never goes
back in a partition. It is looked for by halves and seldom: whoever reads it promised more, never less.
"""

from __future__ import annotations

import asyncio

from perdure.ports.clock import Clock
from perdure.ports.log import Log

__all__ = ["Keeping"]

LOOK_SECONDS_MAX = 600.0
"""Between two looks; shorter where little is kept."""
LOOKS_PER_TIME_KEPT = 10
GRAIN = 100
"""Offsets that may stay longer: each look less is a fetch less."""


class Keeping:
    """Of one partition of history. `keep_s` 0: nothing is kept for readers outside."""

    def __init__(self, log: Log, clock: Clock, topic: str, partition: int, keep_s: float) -> None:
        self._log = log
        self._clock = clock
        self._place = (topic, partition)
        self._keep_s = keep_s
        self._outlived = 0
        self._next_look = 0.0

    async def outlived(self, stored_to: int) -> int:
        """The offset below which all is stored, and older than what is to be kept. Raises PortError."""
        if self._keep_s <= 0:
            return stored_to
        now = asyncio.get_running_loop().time()
        if now >= self._next_look:
            self._outlived = await self._look(stored_to)
            self._next_look = now + min(LOOK_SECONDS_MAX, self._keep_s / LOOKS_PER_TIME_KEPT)
        return min(self._outlived, stored_to)

    async def _look(self, stored_to: int) -> int:
        before_ms = self._clock.now_us() // 1000 - int(self._keep_s * 1000)
        old, _ = await self._log.bounds(*self._place)  # what is below is older …
        young = stored_to  # … and this is not, or not ours to give up
        while young - old > GRAIN:
            middle = (old + young) // 2
            found = await self._log.fetch(*self._place, middle, 1)
            if found and found[0].offset < young and found[0].timestamp_ms < before_ms:
                old = found[0].offset
            else:
                young = middle
        return old
