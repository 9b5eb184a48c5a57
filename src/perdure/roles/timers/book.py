"""All timers of one shard, as far as memory has to know them. Pure: no waiting, no store, no log.

The law. Slices are 5 minutes of due time; the *window* is everything before the end of the slice after the current
one (so 5 to 10 minutes ahead), and is always in memory. A timer that is set is

    due within 60 s             in the heap only; its record's offset is held until FireTimer is acknowledged
    later, within the window    in the heap, and a row
    beyond the window           a row only; it comes into the heap when the window reaches its slice

and a row takes over from the record: once written, the offset is released. So after a crash each timer is found
again, in the log from the group position on or in a slice of the store; what had fired already fires again, which the
orchestrator rejects. A timer is never in neither place.

A timer in memory is newer than a row of the same identity: loading a slice never replaces it. Setting an identity
again moves it: the old row goes, if it is known. It always is for the kinds whose due time is derived from history,
because they never move. Leases do: those beyond the window are remembered until they end. A lease moved after this
shard changed hands may leave its old row, and then ends the attempt at its first deadline, not at the later one.

Memory does not depend on the store: the window moves by time, timers that the store does not take are fired from the
heap, and their offsets stay held.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from perdure.core.effects import CancelTimer, SetTimer
from perdure.roles.timers.far import Changes, FarTimers
from perdure.roles.timers.near import Identity, NearTimers, Timer, identity_of
from perdure.roles.timers.offsets import HeldOffsets

__all__ = ["MOVING_KINDS", "TimerBook"]

MOVING_KINDS: Final = frozenset({"lease"})


class TimerBook:
    """`maybe_stored_below`: records below this offset were read by an owner before; their rows may exist."""

    def __init__(self, *, now_us: int, position: int, maybe_stored_below: int, near_us: int, slice_us: int) -> None:
        self.held = HeldOffsets(position)
        self.near = NearTimers()
        self.far = FarTimers(self.held)
        self.window = now_us // slice_us + 1  # last slice of the window
        self.unloaded: set[int] = set()  # slices of the window whose rows are still to be read
        self.recovered = False  # the slices that were there at the beginning are all read
        self._timers: dict[Identity, Timer] = {}
        self._maybe_stored_below = maybe_stored_below
        self._near_us = near_us
        self._slice_us = slice_us

    def set(self, key: bytes, request: SetTimer, *, target: int, offset: int, value: bytes, now_us: int) -> None:
        """A SetTimer was read at this offset."""
        self.held.pass_to(offset + 1)
        identity = identity_of(key, request)
        old = self._timers.get(identity)
        if old is not None:
            self._discard(old, offset)
        timer = Timer(identity, request.fire_at_us, target, moves=request.kind in MOVING_KINDS)
        timer.offset = offset
        self.held.hold(offset)
        self._timers[identity] = timer
        slice_no = request.fire_at_us // self._slice_us
        if request.fire_at_us >= now_us + self._near_us:
            timer.slice_no = slice_no
            timer.stored = offset < self._maybe_stored_below
            timer.value = value
            self.far.put(timer)
        if slice_no <= self.window:
            self._bring_near(timer)
        else:
            self.far.beyond.setdefault(slice_no, {})[identity] = timer

    def cancel(self, key: bytes, request: CancelTimer, offset: int) -> None:
        """A CancelTimer was read at this offset."""
        self.held.pass_to(offset + 1)
        identity = identity_of(key, request)
        timer = self._timers.get(identity)
        if timer is not None:
            self._discard(timer, offset)
            return
        slice_no = request.fire_at_us // self._slice_us
        if slice_no > self.window or self._is_unloaded(slice_no):
            self.far.remove(slice_no, identity, offset)

    def advance(self, now_us: int) -> bool:
        """Move the window; True if it moved or slices are to be loaded."""
        before = self.window
        while self.window < now_us // self._slice_us + 1:
            self.window += 1
            if self.recovered:
                self.unloaded.add(self.window)
            for timer in self.far.beyond.pop(self.window, {}).values():
                self._bring_near(timer)
        return self.window > before or bool(self.unloaded)

    def recover(self, up_to: int) -> None:
        """Every slice up to this one that was in the store has been loaded."""
        self.recovered = True
        self.unloaded.update(range(up_to + 1, self.window + 1))

    def loaded(self, slice_no: int, rows: Iterable[tuple[Identity, int, int]]) -> None:
        """The slice's rows, as (identity, fire_at_us, target)."""
        self.unloaded.discard(slice_no)
        for identity, fire_at_us, target in rows:
            self.far.open.setdefault(slice_no, 0)  # also if none of its rows counts: it has to be dropped
            if identity in self._timers or self.far.removes(slice_no, identity):
                continue
            timer = Timer(identity, fire_at_us, target)
            timer.slice_no = slice_no
            timer.stored = True
            self._timers[identity] = timer
            self._bring_near(timer)

    def due(self, now_us: int, limit: int) -> list[Timer]:
        """Take out what is due. Each goes to `fired` once its FireTimer is acknowledged."""
        due = self.near.pop_due(now_us, limit)
        for timer in due:
            del self._timers[timer.identity]
            timer.alive = False
            if timer.slice_no >= 0:
                self.far.withdraw(timer)
        return due

    def fired(self, timers: Iterable[Timer]) -> None:
        for timer in timers:
            if timer.offset >= 0:
                self.held.release(timer.offset)
                timer.offset = -1
            if timer.slice_no >= 0:
                self.far.open[timer.slice_no] -= 1

    def written(self, changes: Changes) -> int:
        """The store has taken these; how many timers were put."""
        puts = 0
        for timer in self.far.written(changes):
            puts += 1
            if timer.alive and not timer.heaped and not timer.moves:
                self._forget_beyond(timer)
                del self._timers[timer.identity]
        return puts

    def droppable(self, now_us: int) -> list[int]:
        return [number for number in self.far.droppable(now_us, self._slice_us) if not self._is_unloaded(number)]

    def dropped(self, slice_no: int) -> None:
        if self.far.open.get(slice_no, 1) <= 0:
            del self.far.open[slice_no]

    @property
    def known_to(self) -> int:
        """No row of a slice that is loaded came from a record at this offset or later, except by whoever comes next."""
        return max(self.held.next, self._maybe_stored_below)

    def window_ends_us(self) -> int:
        """When the window has to move next."""
        return self.window * self._slice_us

    def _is_unloaded(self, slice_no: int) -> bool:
        return slice_no in self.unloaded or not self.recovered

    def _bring_near(self, timer: Timer) -> None:
        self.near.push(timer)
        if timer.slice_no >= 0:
            self.far.open[timer.slice_no] = self.far.open.get(timer.slice_no, 0) + 1

    def _discard(self, timer: Timer, offset: int) -> None:
        """Cancelled or moved by the record at this offset."""
        del self._timers[timer.identity]
        timer.alive = False
        if timer.offset >= 0:
            self.held.release(timer.offset)
            timer.offset = -1
        if timer.slice_no < 0:
            self.near.discard(timer)
            slice_no = timer.fire_at_us // self._slice_us
            if self._is_unloaded(slice_no):  # an earlier owner may have given it a row
                self.far.remove(slice_no, timer.identity, offset)
            return
        if timer.heaped:
            self.near.discard(timer)
            self.far.open[timer.slice_no] -= 1
        else:
            self._forget_beyond(timer)
        if not self.far.withdraw(timer):
            self.far.remove(timer.slice_no, timer.identity, offset)

    def _forget_beyond(self, timer: Timer) -> None:
        slice_ = self.far.beyond.get(timer.slice_no)
        if slice_ is not None:
            slice_.pop(timer.identity, None)
            if not slice_:
                del self.far.beyond[timer.slice_no]
