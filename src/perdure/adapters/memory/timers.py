"""The far timers in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import StoredTimer, TimerKey, TimerStore

__all__ = ["MemoryTimerStore"]

Place = tuple[int, int]
"""Shard and slice."""


class MemoryTimerStore(TimerStore):
    """Set `available` to False, and every call raises StoreUnavailable. What was deleted is known by its position."""

    def __init__(self) -> None:
        self.available = True
        self._slices: dict[Place, dict[tuple[str, str], StoredTimer]] = {}
        self._removed: dict[Place, dict[tuple[str, str], int]] = {}
        self._dropped: dict[Place, int] = {}
        self._noted: dict[Place, int] = {}  # slices that hold timers or held some, and the highest position put

    async def put(self, shard: int, slice_no: int, timers: Sequence[StoredTimer]) -> None:
        self._check_available()
        place = (shard, slice_no)
        dropped, removed = self._dropped.get(place, -1), self._removed.get(place, {})
        for timer in timers:
            if timer.position <= dropped:
                continue
            self._noted[place] = max(timer.position, self._noted.get(place, -1))
            key = (timer.instance_id, timer.identity)
            held = self._slices.setdefault(place, {})
            known = held.get(key)
            if timer.position > removed.get(key, -1) and (known is None or known.position <= timer.position):
                held[key] = replace(timer)

    async def load(self, shard: int, slice_no: int) -> list[StoredTimer]:
        self._check_available()
        held = self._slices.get((shard, slice_no), {})
        ordered = sorted(held.values(), key=lambda timer: (timer.fire_at_us, timer.instance_id, timer.identity))
        return [replace(timer) for timer in ordered]

    async def remove(self, shard: int, slice_no: int, keys: Sequence[TimerKey]) -> None:
        self._check_available()
        held = self._slices.get((shard, slice_no), {})
        removed = self._removed.setdefault((shard, slice_no), {})
        for instance_id, identity, position in keys:
            key = (instance_id, identity)
            removed[key] = max(position, removed.get(key, -1))
            if key in held and held[key].position <= position:
                del held[key]

    async def drop_slice(self, shard: int, slice_no: int, position: int) -> None:
        self._check_available()
        place = (shard, slice_no)
        self._dropped[place] = max(position, self._dropped.get(place, -1))
        self._removed.pop(place, None)
        left = {key: timer for key, timer in self._slices.pop(place, {}).items() if timer.position > position}
        if left:
            self._slices[place] = left
        if self._noted.get(place, -1) <= position:
            self._noted.pop(place, None)

    async def slices(self, shard: int, up_to: int) -> list[int]:
        self._check_available()
        return sorted(number for held_shard, number in self._noted if held_shard == shard and number <= up_to)

    def _check_available(self) -> None:
        if not self.available:
            raise StoreUnavailable("the timer store was made unavailable")
