"""The timers that have a row in the store: what is to be written, and which slices are in use.

Law. Changes are collected per (slice, identity), the last one counts, and are written together. A change holds its
record's offset until it is written. A put that is cancelled before it was handed out for writing costs nothing, which
is what makes a time-out per step cheap. What is handed out counts as stored at once: nobody knows how far a write got.

A slice may be dropped when it has passed, is loaded, and the last of its timers has been fired or cancelled.
"""

from __future__ import annotations

from collections.abc import Iterator

from perdure.roles.timers.near import Identity, Timer
from perdure.roles.timers.offsets import HeldOffsets

__all__ = ["Change", "Changes", "FarTimers"]

Change = Timer | int
"""A timer to put, or the offset of the record that removes one."""

Changes = dict[tuple[int, Identity], Change]


class FarTimers:
    """`beyond` has, by slice, the timers after the window that are still in memory."""

    def __init__(self, held: HeldOffsets) -> None:
        self._held = held
        self.changes: Changes = {}
        self.beyond: dict[int, dict[Identity, Timer]] = {}
        self.open: dict[int, int] = {}  # slices of the window: how many of their timers are still to come

    def put(self, timer: Timer) -> None:
        """Its record's offset is held already, by the timer itself."""
        self._replace(timer.slice_no, timer.identity, timer)

    def remove(self, slice_no: int, identity: Identity, offset: int) -> None:
        self._held.hold(offset)
        self._replace(slice_no, identity, offset)

    def withdraw(self, timer: Timer) -> bool:
        """Forget a put that nobody has begun to write. False: the row is there, or may be."""
        place = (timer.slice_no, timer.identity)
        if self.changes.get(place) is timer:
            del self.changes[place]
        return not timer.stored

    def removes(self, slice_no: int, identity: Identity) -> bool:
        return isinstance(self.changes.get((slice_no, identity)), int)

    def hand_out(self) -> Changes:
        """Everything to be written now. It comes back through `written` or `refused`."""
        changes, self.changes = self.changes, {}
        for change in changes.values():
            if isinstance(change, Timer):
                change.stored = True
        return changes

    def written(self, changes: Changes) -> Iterator[Timer]:
        """Release what was held; the timers that were put, in the order given."""
        for change in changes.values():
            if isinstance(change, int):
                self._held.release(change)
                continue
            if change.offset >= 0:
                self._held.release(change.offset)
                change.offset = -1
            change.value = b""
            yield change

    def refused(self, changes: Changes) -> None:
        """They were not written, or nobody knows: they are still to be, unless something newer is."""
        for place, change in changes.items():
            if place in self.changes or (isinstance(change, Timer) and not change.alive):
                if isinstance(change, int):
                    self._held.release(change)
            else:
                self.changes[place] = change

    def droppable(self, before_us: int, slice_us: int) -> list[int]:
        """Slices that are over and empty."""
        return [number for number, left in self.open.items() if left <= 0 and (number + 1) * slice_us <= before_us]

    def _replace(self, slice_no: int, identity: Identity, change: Change) -> None:
        before = self.changes.get((slice_no, identity))
        if isinstance(before, int):
            self._held.release(before)
        self.changes[slice_no, identity] = change
