"""Time and chance. The only way to either: ruff bans the others."""

from __future__ import annotations

from abc import ABC, abstractmethod

__all__ = ["Clock", "Entropy"]


class Clock(ABC):
    """Wall-clock time. Waiting is asyncio's: a simulation gives both by its event loop."""

    @abstractmethod
    def now_us(self) -> int:
        """Microseconds since the epoch, UTC. May step backwards, as clocks do."""


class Entropy(ABC):
    @abstractmethod
    def bytes(self, count: int) -> bytes:
        """Random bytes."""
