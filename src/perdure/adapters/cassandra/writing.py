"""An append as statements.

The law: whatever is deleted or replaced is so by timestamps alone, so order and repetition of appends do not matter.
What was stored before is read only for turns that begin a generation or purge, to know which partitions end; what is
read may be later than the append itself, and then its rows are later than the deletes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from perdure.adapters.cassandra.batches import ROW_BYTES, batches
from perdure.adapters.cassandra.clearing import NOTHING, Place, drop_histories, drop_visible
from perdure.adapters.cassandra.packing import CHUNK_EVENTS, packed
from perdure.adapters.cassandra.places import day_of, instance_key, shard_of, visible_at
from perdure.adapters.cassandra.requests import Requests
from perdure.codec.encoder import Encoder
from perdure.core.ages import ENDED
from perdure.core.rows import InstanceRow
from perdure.ports.store import StoredTurn

__all__ = ["Writing", "ends_something"]


def ends_something(turn: StoredTurn) -> bool:
    """Its generation's beginning ends the one before; without events nothing is known of it."""
    return turn.row.status == "PURGED" or not turn.events or turn.events[0].seq == 1


class Writing:
    """One append's. `stored` holds the places of instances whose turn ends something.

    Its methods are called in their order, each when all statements of the one before are written.
    """

    def __init__(
        self,
        requests: Requests,
        namespace: str,
        partition: int,
        position: int,
        stored: dict[str, Place],
        encode: Encoder,
    ) -> None:
        self._requests = requests
        self._namespace = namespace
        self._partition = partition
        self._position = position
        self._stored = stored
        self._encode = encode
        self.days: set[int] = set()

    def beside_rows(self, turns: Sequence[StoredTurn]) -> Iterator[Any]:
        """What the rows of `instances` speak of, which come after it."""
        visible, tombstone_days = _Visible(), set()
        for turn in turns:
            row = turn.row
            if self._is_late(row):
                continue
            if row.status == "PURGED":
                tombstone_days.add(day_of(row.updated_at_us))
                yield self._tombstone(row)
                continue
            yield from self._history(turn)
            self.days.add(day_of(row.created_at_us))
            if not self._is_listed_later(turn):
                self._show(row, visible)
            if row.status == "STALLED":
                yield self._bound("put_stalled", self._partition, row.instance_id, self._position, self._position)
        yield from visible.batches(self._requests)
        yield from (self._bound("put_day", "tombstones", day) for day in tombstone_days)

    def visible_days(self, known: set[int]) -> list[Any]:
        """The days of this append that are not known to be noted."""
        return [self._bound("put_day", "visibility", day) for day in self.days - known]

    def rows(self, turns: Sequence[StoredTurn]) -> Iterator[Any]:
        at = self._position
        for turn in turns:
            row = turn.row
            if self._is_late(row):
                continue
            key, said = instance_key(row.instance_id), (row.updated_at_us, self._encode(row), at)
            if self._left_behind(row) is not None:  # and so it says where it lies, until that is gone
                yield self._bound("put_row", key, self._partition, at, row.name, row.status, *said)
                continue
            yield self._bound(
                "put_instance", key, self._partition, at, row.run, row.generation, _last_seq(row), row.name,
                row.status, row.created_at_us, *said,
            )  # fmt: skip

    def after_rows(self, turns: Sequence[StoredTurn]) -> Iterator[Any]:
        """What turns end or leave behind: until the rows are there, earlier ones speak of it."""
        visible = _Visible()
        for turn in turns:
            if self._is_late(turn.row):
                continue
            yield from self._deleted(turn)
            self._hide(turn.row, visible)
            if self._is_listed_later(turn):
                self._show(turn.row, visible)
        yield from visible.batches(self._requests)

    def places(self, turns: Sequence[StoredTurn]) -> Iterator[Any]:
        """Nothing is left of what was there before."""
        for turn in turns:
            row = turn.row
            if not self._is_late(row) and self._left_behind(row) is not None:
                place = row.run, row.generation, _last_seq(row), row.created_at_us
                key = self._namespace, instance_key(row.instance_id)
                yield self._requests.bound("put_place", self._position, *place, *key)

    def _is_late(self, row: InstanceRow) -> bool:
        """Of what was replaced since."""
        stored = self._stored.get(row.instance_id)
        return stored is not None and stored.position > self._position and stored.is_ended_by(row)

    def _left_behind(self, row: InstanceRow) -> Place | None:
        """What is stored and over with this row."""
        stored = self._stored.get(row.instance_id)
        return stored if stored is not None and not stored.is_empty and stored.is_ended_by(row) else None

    def _is_listed_later(self, turn: StoredTurn) -> bool:
        """An instance that is listed stays there as active until its row says that it has ended: who looks for those that
        are active asks the rows, and never misses one.
        """
        row = turn.row
        if row.status not in ENDED:
            return False
        stored = self._stored.get(row.instance_id)
        if stored is None:
            return not ends_something(turn)
        return not stored.is_empty and stored.created_at_us == row.created_at_us

    def _history(self, turn: StoredTurn) -> Iterator[Any]:
        row = turn.row
        for first_seq, n, codec, blob in packed(turn.events):
            chunk = first_seq // CHUNK_EVENTS
            yield self._bound(
                "put_history", row.instance_id, row.run, row.generation, chunk, first_seq, n, codec, blob,
                self._position,
            )  # fmt: skip

    def _deleted(self, turn: StoredTurn) -> Iterator[Any]:
        """Events of what is stored, and of what may be without a row of `instances` that tells of it, because an append of
        this owner or the one before failed half-way.
        """
        row, left = turn.row, self._left_behind(turn.row)
        over = [(each.run, each.generation, each.last_seq) for each in turn.replaced]
        if left is not None:
            over.append((left.run, left.generation, left.last_seq))
        if row.status == "PURGED":
            over.append((row.run, row.generation, row.last_seq))
        return drop_histories(self._requests, self._namespace, self._position, row.instance_id, over)

    def _show(self, row: InstanceRow, visible: _Visible) -> None:
        key = visible_at(row.instance_id, row.created_at_us)
        statement = self._bound("put_visible", *key, row.name, row.status, self._position)
        visible.add(row, row.created_at_us, statement, len(row.name))

    def _hide(self, row: InstanceRow, visible: _Visible) -> None:
        """It is listed at another place from now on, or at none."""
        left = self._left_behind(row)
        if left is not None and (row.status == "PURGED" or row.created_at_us != left.created_at_us):
            created = left.created_at_us
            statement = drop_visible(self._requests, self._namespace, self._position, row.instance_id, created)
            visible.add(row, created, statement, 0)

    def _tombstone(self, row: InstanceRow) -> Any:
        return self._bound(
            "put_tombstone", day_of(row.updated_at_us), shard_of(row.instance_id), row.updated_at_us, row.instance_id,
            self._position, self._position,
        )  # fmt: skip

    def _bound(self, query: str, *values: object) -> Any:
        return self._requests.bound(query, self._namespace, *values)


class _Visible:
    """Statements for `visibility`, by partition."""

    def __init__(self) -> None:
        self._held: defaultdict[tuple[int, int], list[tuple[Any, int]]] = defaultdict(list)

    def add(self, row: InstanceRow, created_at_us: int, statement: Any, size: int) -> None:
        day, shard, *_ = visible_at(row.instance_id, created_at_us)
        self._held[day, shard].append((statement, len(row.instance_id) + size + ROW_BYTES))

    def batches(self, requests: Requests) -> Iterator[Any]:
        for statements in self._held.values():
            yield from batches(requests, statements)


def _last_seq(row: InstanceRow) -> int:
    return NOTHING if row.status == "PURGED" else row.last_seq
