"""The timers that are in memory: a heap by due time, with lazy deletion.

A million of them may be due within minutes, so a timer is few objects: its identity is one string of bytes, and the
SetTimer it came from is not kept.

Law. A timer is in the heap at most once. A cancelled one stays where it is, marked dead, and is skipped when it comes
to the top; when the dead outnumber the living, the heap is rebuilt. So cancelling costs O(1) amortised, and the heap
is never more than twice as large as what it is for (and `DEAD_MIN`).
"""

from __future__ import annotations

import heapq
from typing import Final

from perdure.core.effects import TimerRequest

__all__ = ["DEAD_MIN", "Identity", "NearTimers", "Timer", "identity_of", "parts_of"]

DEAD_MIN: Final = 256

ARRIVAL_BITS: Final = 24

Identity = bytes
"""run/generation/task/attempt/kind, a NUL, and the instance's id."""


def identity_of(key: bytes, request: TimerRequest) -> Identity:
    """Raises ValueError where the parts could not be told apart again: then it is no request of ours."""
    if "/" in request.run or "/" in request.kind or "\0" in request.run or "\0" in request.kind:
        raise ValueError(f"{request.run[:64]!r} or {request.kind[:64]!r} holds what no run and no kind of timer holds")
    return f"{request.run}/{request.generation}/{request.task_id}/{request.attempt}/{request.kind}\0".encode() + key


def parts_of(identity: Identity) -> tuple[bytes, str]:
    """Instance id and "run/generation/task/attempt/kind"."""
    name, _, key = identity.partition(b"\0")
    return key, name.decode()


class Timer:
    """A timer that is known here. It changes hands between the heap, the rows to be written and the log's position."""

    __slots__ = (
        "alive",
        "fire_at_us",
        "heaped",
        "identity",
        "moves",
        "offset",
        "slice_no",
        "stored",
        "target",
        "value",
    )

    def __init__(self, identity: Identity, fire_at_us: int, target: int, *, moves: bool = False) -> None:
        self.identity = identity
        self.fire_at_us = fire_at_us
        self.target = target  # partition of the instance
        self.moves = moves  # may be set again, to another time
        self.value = b""  # bytes of the SetTimer, while a row is to be written of it
        self.offset = -1  # of its record, while only that would bring it back after a crash
        self.slice_no = -1  # of its row; -1: it has none and gets none
        self.stored = False  # its row is in the store, or may be
        self.heaped = False
        self.alive = True

    def __lt__(self, other: Timer) -> bool:
        """For the heap, where two of the same time also arrived a multiple of 2^24 apart."""
        return self.offset < other.offset


class NearTimers:
    """len() counts the living."""

    __slots__ = ("_dead", "_heap", "_pushed")

    def __init__(self) -> None:
        self._heap: list[tuple[int, Timer]] = []  # by time << ARRIVAL_BITS | the arrival's number
        self._pushed = 0  # breaks ties in the order of arrival
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dead

    @property
    def held(self) -> int:
        """Places in use, those of the dead included."""
        return len(self._heap)

    def push(self, timer: Timer) -> None:
        timer.heaped = True
        self._pushed = (self._pushed + 1) & ((1 << ARRIVAL_BITS) - 1)
        heapq.heappush(self._heap, (timer.fire_at_us << ARRIVAL_BITS | self._pushed, timer))

    def discard(self, timer: Timer) -> None:
        """The timer, which is in the heap, is dead."""
        timer.alive = False
        self._dead += 1
        if self._dead > DEAD_MIN and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[1].alive]
            heapq.heapify(self._heap)
            self._dead = 0

    def next_us(self) -> int | None:
        """When the next one is due."""
        self._bury()
        return self._heap[0][1].fire_at_us if self._heap else None

    def pop_due(self, now_us: int, limit: int) -> list[Timer]:
        """Take out at most `limit` timers due by now, earliest first."""
        due: list[Timer] = []
        while len(due) < limit:
            self._bury()
            if not self._heap or self._heap[0][1].fire_at_us > now_us:
                break
            timer = heapq.heappop(self._heap)[1]
            timer.heaped = False
            due.append(timer)
        return due

    def _bury(self) -> None:
        heap = self._heap
        while heap and not heap[0][1].alive:
            heapq.heappop(heap)
            self._dead -= 1
