"""What the partitions of one process hold in memory together.

Each has a bound of its own for what waits for the store; many of them in one process would pass what a process has. And
what waits keeps its instances in memory, where a small one is some ten times its events.
**Law.** What waits in all of them, by weight, is at most `store_lag_process_bytes_max`, but for the batches in hand. A
quarter of that is set aside in equal shares, so that a partition goes on whatever the others hold; the rest is for whoever
comes first. Who has no room reads nothing more until the store has taken something.

The cache is divided equally: what is in it and stored can be given up at any time.

Rejected: dividing what waits equally, too (one busy partition among twenty idle ones would have a twentieth); a queue of
those that wait for room (a partition whose store writes fail would hold the others up).
"""

from __future__ import annotations

from typing import Protocol

from perdure.roles.orchestrator.settings import OrchestratorSettings

__all__ = ["Budget", "Holder"]

SET_ASIDE = 4  # one part of so many


class Holder(Protocol):
    """A partition, as the budget knows it."""

    def look_for_room(self) -> None:
        """Ask `has_room`: the answer may be another."""

    def squeezed(self) -> None:
        """There are more holders: shares are smaller."""


class Budget:
    """One for all partitions of the process. Weights are bytes."""

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._settings = settings
        self._weights: dict[Holder, int] = {}
        self._sum = 0
        self._is_short = False

    def join(self, holder: Holder) -> None:
        for each in self._weights:
            each.squeezed()
        self._weights[holder] = 0
        self._divide_again()

    def leave(self, holder: Holder) -> None:
        """What it held is gone with it. Twice is harmless."""
        self._sum -= self._weights.pop(holder, 0)
        self._divide_again()

    def holds(self, holder: Holder, weight: int) -> None:
        """So much of it waits for the store now."""
        if holder in self._weights:
            self._sum += weight - self._weights[holder]
            self._weights[holder] = weight
            if self._is_short or self._sum > self._common:
                self._divide_again()
                return
        holder.look_for_room()

    def has_room(self, holder: Holder) -> bool:
        return not self._is_short or self._weights.get(holder, 0) <= self.share

    @property
    def share(self) -> int:
        """What a partition may hold without asking the others."""
        return self._settings.store_lag_process_bytes_max // (SET_ASIDE * max(1, len(self._weights)))

    @property
    def cache_bytes_max(self) -> int:
        """Of each partition's cache."""
        return self._settings.cache_bytes_max // max(1, len(self._weights))

    @property
    def _common(self) -> int:
        """What is not set aside."""
        return self._settings.store_lag_process_bytes_max - self.share * len(self._weights)

    def _divide_again(self) -> None:
        share = self.share
        self._is_short = sum(max(0, weight - share) for weight in self._weights.values()) > self._common
        for each in self._weights:
            each.look_for_room()
