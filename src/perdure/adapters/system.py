"""The real clock and the real source of chance."""

import os
import time

from perdure.ports.clock import Clock, Entropy

__all__ = ["SystemClock", "SystemEntropy"]


class SystemClock(Clock):
    def now_us(self) -> int:
        return time.time_ns() // 1000  # noqa: TID251 - this is the one place


class SystemEntropy(Entropy):
    def bytes(self, count: int) -> bytes:
        return os.urandom(count)
