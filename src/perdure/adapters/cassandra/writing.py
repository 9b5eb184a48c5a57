"""An append as statements.

The law: whatever is deleted or replaced is so by timestamps alone, so order and repetition of appends do not matter.
What was stored before is read only for turns that begin a generation or purge, to know which partitions end; what is
read may be later than the append itself, and then its rows are later than the deletes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from perdure.adapters.cassandra.batches import ROW_BYTES, batches
from perdure.adapters.cassandra.packing import CHUNK_EVENTS, chunks, packed
from perdure.adapters.cassandra.places import day_of, instance_key, shard_of
from perdure.adapters.cassandra.requests import Requests
from perdure.codec.encoder import Encoder
from perdure.core.rows import InstanceRow
from perdure.ports.store import StoredTurn

__all__ = ["Place", "Writing", "ends_something"]


class Place(NamedTuple):
    """What is stored of an instance already. The columns of the query get_places."""

    instance_id: str
    position: int
    run: str
    generation: int
    last_seq: int
    status: str
    created_at_us: int


def ends_something(turn: StoredTurn) -> bool:
    """Its generation's beginning ends the one before; without events nothing is known of it."""
    return turn.row.status == "PURGED" or not turn.events or turn.events[0].seq == 1


class Writing:
    """One append's. `stored` holds the places of instances whose turn ends something."""

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
        self._visible: defaultdict[tuple[int, int], list[tuple[Any, int]]] = defaultdict(list)  # by day and shard

    def beside_rows(self, turns: Sequence[StoredTurn]) -> Iterator[Any]:
        """Everything but the rows of `instances`, which speak of it and so come after it."""
        visible_days, tombstone_days = set(), set()
        for turn in turns:
            row = turn.row
            stored = self._stored.get(row.instance_id)
            if stored is not None:
                if stored.position > self._position and _ended(stored, row):
                    continue  # a late one, of what was replaced since
                self._hide(stored, row)
            if row.status == "PURGED":
                tombstone_days.add(day_of(row.updated_at_us))
                yield self._tombstone(row)
                continue
            yield from self._deleted(turn)
            visible_days.add(day_of(row.created_at_us))
            yield from self._history(turn)
            self._show(row)
            if row.status == "STALLED":
                yield self._bound("put_stalled", self._partition, row.instance_id, self._position, self._position)
        self.days = visible_days
        for statements in self._visible.values():
            yield from batches(self._requests, statements)
        yield from (self._bound("put_day", "tombstones", day) for day in tombstone_days)

    def visible_days(self, known: set[int]) -> list[Any]:
        """After `beside_rows`: the days of this append that are not known to be noted."""
        return [self._bound("put_day", "visibility", day) for day in self.days - known]

    def rows(self, turns: Sequence[StoredTurn]) -> Iterator[Any]:
        at = self._position
        for turn in turns:
            row = turn.row
            yield self._bound(
                "put_instance", instance_key(row.instance_id), self._partition, at, row.run, row.generation,
                row.last_seq, row.name, row.status, row.created_at_us, row.updated_at_us, self._encode(row), at,
            )  # fmt: skip

    def _history(self, turn: StoredTurn) -> Iterator[Any]:
        row = turn.row
        for first_seq, n, codec, blob in packed(turn.events):
            chunk = first_seq // CHUNK_EVENTS
            yield self._bound(
                "put_history", row.instance_id, row.run, row.generation, chunk, first_seq, n, codec, blob,
                self._position,
            )  # fmt: skip

    def _show(self, row: InstanceRow) -> None:
        day, shard, size = day_of(row.created_at_us), shard_of(row.instance_id), len(row.instance_id) + len(row.name)
        statement = self._bound(
            "put_visible", day, shard, -row.created_at_us, row.instance_id, row.name, row.status, self._position
        )
        self._visible[day, shard].append((statement, size + ROW_BYTES))

    def after_rows(self, turns: Sequence[StoredTurn]) -> Iterator[Any]:
        """Events of what was purged: until the tombstone is there, the row that it replaces speaks of them, and the log's
        tail begins after them.
        """
        for turn in turns:
            if turn.row.status == "PURGED":
                yield from self._deleted(turn)

    def _deleted(self, turn: StoredTurn) -> Iterator[Any]:
        """Events that the turn's end or beginning leaves behind: of what is stored, and of what may be without a row of
        `instances` that tells of it, because an append of this owner or the one before failed half-way.
        """
        row, stored = turn.row, self._stored.get(turn.row.instance_id)
        over = [(each.run, each.generation, each.last_seq) for each in turn.replaced]
        if stored is not None and stored.status != "PURGED" and _ended(stored, row):
            over.append((stored.run, stored.generation, stored.last_seq))
        if row.status == "PURGED":
            over.append((row.run, row.generation, row.last_seq))
        places = {(run, generation, chunk): None for run, generation, last in over for chunk in chunks(last)}
        for place in places:
            yield self._deletion("drop_history", row.instance_id, *place)

    def _hide(self, stored: Place, row: InstanceRow) -> None:
        """It is listed at another place from now on, or at none."""
        if stored.status == "PURGED" or not _ended(stored, row):
            return
        if row.status == "PURGED" or row.created_at_us != stored.created_at_us:
            created, shard = stored.created_at_us, shard_of(row.instance_id)
            hidden = self._deletion("drop_visible", day_of(created), shard, -created, row.instance_id)
            self._visible[day_of(created), shard].append((hidden, len(row.instance_id) + ROW_BYTES))

    def _tombstone(self, row: InstanceRow) -> Any:
        return self._bound(
            "put_tombstone", day_of(row.updated_at_us), shard_of(row.instance_id), row.updated_at_us, row.instance_id,
            self._position, self._position,
        )  # fmt: skip

    def _bound(self, query: str, *values: object) -> Any:
        return self._requests.bound(query, self._namespace, *values)

    def _deletion(self, query: str, *key: object) -> Any:
        return self._requests.bound(query, self._position, self._namespace, *key)


def _ended(stored: Place, row: InstanceRow) -> bool:
    return row.status == "PURGED" or (stored.run, stored.generation) != (row.run, row.generation)
