"""The history store in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from perdure.adapters.memory.gaps import check_gaps
from perdure.adapters.memory.paging import page_token, place_of
from perdure.core.rows import InstanceRow
from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import (
    EPOCH_SHIFT,
    Filter,
    HistoryStore,
    Page,
    Resting,
    StoredEvent,
    StoredInstance,
    StoredTurn,
)

__all__ = ["MemoryHistoryStore"]

Rows = list[InstanceRow]  # inside the class, `list` is the method


@dataclass(slots=True)
class _Stored:
    row: InstanceRow
    partition: int
    position: int
    events: dict[int, bytes] = field(default_factory=dict)


class MemoryHistoryStore(HistoryStore):
    """Set `available` to False, and every call raises StoreUnavailable."""

    def __init__(self) -> None:
        self.available = True
        self._instances: dict[str, _Stored] = {}
        self._stored_to: dict[int, int] = {}
        self._resting: dict[int, tuple[int, Resting]] = {}  # by partition: epoch, and what was kept

    async def append(self, partition: int, stored_to: int, position: int, turns: Sequence[StoredTurn]) -> None:
        self._check_available()
        for turn in turns:
            self._append_turn(partition, position, turn)
        placed = position >> EPOCH_SHIFT << EPOCH_SHIFT | stored_to
        self._stored_to[partition] = max(placed, self._stored_to.get(partition, 0))

    def _append_turn(self, partition: int, position: int, turn: StoredTurn) -> None:
        row = turn.row
        stored = self._instances.get(row.instance_id)
        if stored is None:
            stored = self._instances[row.instance_id] = _Stored(_copied(row), partition, position)
        same = (row.run, row.generation) == (stored.row.run, stored.row.generation)
        if position >= stored.position:
            stored.row, stored.partition, stored.position = _copied(row), partition, position
            if not same or row.status == "PURGED":
                stored.events.clear()
        elif not same or stored.row.status == "PURGED":
            return  # what it belongs to was replaced or purged since
        if row.status != "PURGED":
            stored.events.update({event.seq: event.value for event in turn.events})

    async def load(self, instance_ids: Sequence[str], *, events: bool = True) -> dict[str, StoredInstance]:
        self._check_available()
        found = {}
        for instance_id in instance_ids:
            stored = self._instances.get(instance_id)
            if stored is not None:
                held = sorted(stored.events.items()) if events else []
                found[instance_id] = StoredInstance(_copied(stored.row), [StoredEvent(*event) for event in held])
        if events:
            check_gaps(found)
        return found

    async def stored_to(self, partition: int, epoch: int = 0) -> int:
        self._check_available()
        placed = self._stored_to.get(partition, 0)
        return placed - (epoch << EPOCH_SHIFT) if placed >> EPOCH_SHIFT == epoch else 0

    async def rest(self, partition: int, epoch: int, resting: Resting) -> None:
        self._check_available()
        known = self._resting.get(partition)
        if known is None or (known[0], known[1].offset) <= (epoch, resting.offset):
            self._resting[partition] = epoch, replace(resting)

    async def resting(self, partition: int, epoch: int = 0) -> Resting | None:
        self._check_available()
        known = self._resting.get(partition)
        return replace(known[1]) if known is not None and known[0] == epoch else None

    async def list(self, where: Filter, limit: int, after: str = "") -> Page:
        self._check_available()
        rows = sorted((row for row in self._rows() if _fits(row, where)), key=_place)
        if after:
            created_at_us, instance_id = place_of(after)
            rows = [row for row in rows if _place(row) > (-created_at_us, instance_id)]
        shown = [_copied(row) for row in rows[:limit]]
        more = len(rows) > limit and shown
        return Page(shown, page_token(shown[-1].created_at_us, shown[-1].instance_id) if more else "")

    async def stalled(self, partition: int, limit: int) -> Rows:
        self._check_available()
        rows = [
            _copied(stored.row)
            for _, stored in sorted(self._instances.items())
            if stored.partition == partition and stored.row.status == "STALLED"
        ]
        return rows[:limit]

    async def forget_tombstones(self, before_us: int) -> int:
        self._check_available()
        old = [row.instance_id for row in self._rows() if row.status == "PURGED" and row.updated_at_us < before_us]
        for instance_id in old:
            del self._instances[instance_id]
        return len(old)

    def _rows(self) -> Sequence[InstanceRow]:
        return [stored.row for stored in self._instances.values()]

    def _check_available(self) -> None:
        if not self.available:
            raise StoreUnavailable("the history store was made unavailable")


def _copied(row: InstanceRow) -> InstanceRow:
    """Rows are mutable: what the caller does to its own must not reach the store, nor the other way round."""
    return replace(row, command_ids=list(row.command_ids), children=[replace(child) for child in row.children])


def _place(row: InstanceRow) -> tuple[int, str]:
    return -row.created_at_us, row.instance_id


def _fits(row: InstanceRow, where: Filter) -> bool:
    return (
        row.status != "PURGED"
        and (not where.names or row.name in where.names)
        and (not where.statuses or row.status in where.statuses)
        and row.instance_id.startswith(where.id_prefix)
        and row.created_at_us >= where.created_from_us
        and (not where.created_to_us or row.created_at_us < where.created_to_us)
    )
