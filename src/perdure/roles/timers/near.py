"""The timers that are in memory: a heap by due time, with lazy deletion.

Law. A timer is in the heap at most once. A cancelled one stays where it is, marked dead, and is skipped when it comes
to the top; when the dead outnumber the living, the heap is rebuilt. So cancelling costs O(1) amortised, and the heap
is never more than twice as large as what it is for (and `DEAD_MIN`).
"""

from __future__ import annotations

import heapq
from typing import Final

from perdure.core.effects import SetTimer

__all__ = ["DEAD_MIN", "Identity", "NearTimers", "Timer"]

DEAD_MIN: Final = 256

Identity = tuple[bytes, str, int, int, int, str]
"""(key, run, generation, task_id, attempt, kind)"""


class Timer:
    """A timer that is known here. It changes hands between the heap, the rows to be written and the log's position."""

    __slots__ = ("alive", "heaped", "identity", "offset", "request", "slice_no", "stored", "target", "value")

    def __init__(self, identity: Identity, request: SetTimer, value: bytes, target: int) -> None:
        self.identity = identity
        self.request = request
        self.value = value  # bytes of the SetTimer: what a row holds
        self.target = target  # partition of the instance
        self.offset = -1  # of its record, while only that would bring it back after a crash
        self.slice_no = -1  # of its row; -1: it has none and gets none
        self.stored = False  # its row is in the store, or may be
        self.heaped = False
        self.alive = True

    @property
    def fire_at_us(self) -> int:
        return self.request.fire_at_us


class NearTimers:
    """len() counts the living."""

    __slots__ = ("_dead", "_heap", "_pushed")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._pushed = 0  # breaks ties in the order of arrival, and keeps timers from being compared
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dead

    @property
    def held(self) -> int:
        """Places in use, those of the dead included."""
        return len(self._heap)

    def push(self, timer: Timer) -> None:
        timer.heaped = True
        self._pushed += 1
        heapq.heappush(self._heap, (timer.request.fire_at_us, self._pushed, timer))

    def discard(self, timer: Timer) -> None:
        """The timer, which is in the heap, is dead."""
        timer.alive = False
        self._dead += 1
        if self._dead > DEAD_MIN and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].alive]
            heapq.heapify(self._heap)
            self._dead = 0

    def next_us(self) -> int | None:
        """When the next one is due."""
        self._bury()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_us: int, limit: int) -> list[Timer]:
        """Take out at most `limit` timers due by now, earliest first."""
        due: list[Timer] = []
        while len(due) < limit:
            self._bury()
            if not self._heap or self._heap[0][0] > now_us:
                break
            timer = heapq.heappop(self._heap)[2]
            timer.heaped = False
            due.append(timer)
        return due

    def _bury(self) -> None:
        heap = self._heap
        while heap and not heap[0][2].alive:
            heapq.heappop(heap)
            self._dead -= 1
