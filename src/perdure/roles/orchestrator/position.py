"""How far a partition's commands are decided: the marker, taken apart and put together."""

from __future__ import annotations

from perdure.core.events import BatchCommitted
from perdure.core.limits import UNDECIDED_OFFSETS_MAX

__all__ = ["Position"]


class Position:
    """Everything below `next_offset` is decided, or about to be by the batch in hand, except `undecided`."""

    def __init__(self, marker: BatchCommitted) -> None:
        self.next_offset = marker.next_offset
        self.undecided = set(marker.undecided)
        self._resumed_at = marker.next_offset

    @property
    def start(self) -> int:
        """Where reading begins again."""
        return min([self.next_offset, *self.undecided])

    @property
    def room(self) -> int:
        """How many more commands may wait for the store."""
        return max(0, UNDECIDED_OFFSETS_MAX - len(self.undecided))

    def read(self, offset: int) -> bool:
        """A record was read; False if an earlier owner has decided it."""
        if offset < self._resumed_at and offset not in self.undecided:
            return False
        self.next_offset = max(self.next_offset, offset + 1)
        return True

    def waits(self, offset: int) -> None:
        self.undecided.add(offset)

    def decided(self, offset: int) -> None:
        self.undecided.discard(offset)

    def marker(self, *, epoch: int, stored_to: int, owner: str, takeovers: int = 0, trying: str = "") -> BatchCommitted:
        return BatchCommitted(
            epoch, self.next_offset, sorted(self.undecided), max(stored_to, 0), owner, takeovers, trying
        )
