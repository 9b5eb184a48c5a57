"""Which records of a shard are still needed: the group position must not pass them."""

from __future__ import annotations

from collections import deque

__all__ = ["HeldOffsets"]


class HeldOffsets:
    """Offsets are held in ascending order, several times if need be, and released in any order.

    Nearly all are held once, by a timer: so what is remembered of an offset is its place in the order, and further
    holds and early releases apart from that.
    """

    __slots__ = ("_more", "_order", "_released", "next")

    def __init__(self, position: int) -> None:
        self.next = position  # the record to be read next
        self._order: deque[int] = deque()
        self._more: dict[int, int] = {}  # holds beyond the first
        self._released: set[int] = set()  # of the order: those that nobody holds any more

    def __len__(self) -> int:
        return len(self._order) - len(self._released)

    @property
    def low(self) -> int:
        """The first record that is still needed, or the next to be read."""
        self._shorten()
        return self._order[0] if self._order else self.next

    def hold(self, offset: int) -> None:
        """The highest one held so far, again, or a higher one."""
        order = self._order
        if not order or offset > order[-1]:
            order.append(offset)
        elif offset in self._released:
            self._released.discard(offset)
        else:
            self._more[offset] = self._more.get(offset, 0) + 1

    def release(self, offset: int) -> None:
        more = self._more.get(offset, 0)
        if more > 1:
            self._more[offset] = more - 1
        elif more:
            del self._more[offset]
        else:
            self._released.add(offset)
            self._shorten()

    def pass_to(self, position: int) -> None:
        self.next = max(self.next, position)

    def _shorten(self) -> None:
        order, released = self._order, self._released
        while order and order[0] in released:
            released.discard(order.popleft())
