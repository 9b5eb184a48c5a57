"""Time and chance of a virtual world: the same at every run."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from perdure.ports.clock import Clock, Entropy
from perdure.testing.loop import VirtualLoop

__all__ = ["SeededEntropy", "VirtualClock"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class VirtualClock(Clock):
    """The wall clock over a loop's time: `start_at` (naive: UTC) plus what has passed, plus the steps it was set by."""

    def __init__(self, loop: VirtualLoop, start_at: datetime) -> None:
        aware = start_at if start_at.tzinfo is not None else start_at.replace(tzinfo=UTC)
        self._loop = loop
        self._start_us = (aware - _EPOCH) // _MICROSECOND

    def now_us(self) -> int:
        return self._start_us + round(self._loop.time() * 1e6)

    def now(self) -> datetime:
        """Naive UTC, as the orchestrator's `ctx.current_utc_datetime` is."""
        return (_EPOCH + self.now_us() * _MICROSECOND).replace(tzinfo=None)

    def step(self, by: timedelta) -> None:
        """Somebody sets the clock, forwards or back; no time passes."""
        self._start_us += by // _MICROSECOND


class SeededEntropy(Entropy):
    """Ids that look random and are the same at every run of a test."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - meant to repeat; nothing secret is made of it

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)
