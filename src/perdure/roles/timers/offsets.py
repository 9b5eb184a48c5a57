"""Which records of a shard are still needed: the group position must not pass them."""

from __future__ import annotations

from collections import deque

__all__ = ["HeldOffsets"]


class HeldOffsets:
    """Offsets are held in ascending order, several times if need be, and released in any order."""

    __slots__ = ("_holds", "_order", "next")

    def __init__(self, position: int) -> None:
        self.next = position  # the record to be read next
        self._holds: dict[int, int] = {}
        self._order: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._holds)

    @property
    def low(self) -> int:
        """The first record that is still needed, or the next to be read."""
        order = self._order
        while order and order[0] not in self._holds:
            order.popleft()
        return order[0] if order else self.next

    def hold(self, offset: int) -> None:
        holds = self._holds
        if offset in holds:
            holds[offset] += 1
        else:
            holds[offset] = 1
            if not self._order or offset > self._order[-1]:
                self._order.append(offset)

    def release(self, offset: int) -> None:
        left = self._holds[offset] - 1
        if left:
            self._holds[offset] = left
        else:
            del self._holds[offset]

    def pass_to(self, position: int) -> None:
        self.next = max(self.next, position)
