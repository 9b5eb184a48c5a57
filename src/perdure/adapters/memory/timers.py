"""The far timers in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import StoredTimer, TimerStore

__all__ = ["MemoryTimerStore"]


class MemoryTimerStore(TimerStore):
    """Set `available` to False, and every call raises StoreUnavailable."""

    def __init__(self) -> None:
        self.available = True
        self._slices: dict[tuple[int, int], dict[tuple[str, str], StoredTimer]] = {}

    async def put(self, shard: int, slice_no: int, timers: Sequence[StoredTimer]) -> None:
        self._check_available()
        held = self._slices.setdefault((shard, slice_no), {})
        held.update({(timer.instance_id, timer.identity): replace(timer) for timer in timers})

    async def load(self, shard: int, slice_no: int) -> list[StoredTimer]:
        self._check_available()
        held = self._slices.get((shard, slice_no), {})
        ordered = sorted(held.values(), key=lambda timer: (timer.fire_at_us, timer.instance_id, timer.identity))
        return [replace(timer) for timer in ordered]

    async def remove(self, shard: int, slice_no: int, keys: Sequence[tuple[str, str]]) -> None:
        self._check_available()
        held = self._slices.get((shard, slice_no), {})
        for key in keys:
            held.pop(key, None)

    async def drop_slice(self, shard: int, slice_no: int) -> None:
        self._check_available()
        self._slices.pop((shard, slice_no), None)

    async def slices(self, shard: int, up_to: int) -> list[int]:
        self._check_available()
        return sorted(number for held_shard, number in self._slices if held_shard == shard and number <= up_to)

    def _check_available(self) -> None:
        if not self.available:
            raise StoreUnavailable("the timer store was made unavailable")
