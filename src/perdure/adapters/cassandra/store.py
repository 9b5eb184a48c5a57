"""The history store on Cassandra.

Order within an append: events and indexes, then the rows of `instances` that speak of them, then the deletion of what
these have ended, then that it is gone, then the partition's checkpoint. So a row never names an event that is not there,
and a checkpoint covers only what is stored. An append that fails half-way is repeated by its owner or the next one, lands on
the same keys with the same or later timestamps, and clears away what the first had to. Should the log be lost before that,
the tables alone say of each instance how it was before the append, or how it is after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from perdure.adapters.cassandra.driver import Driver
from perdure.adapters.cassandra.forgetting import forget_tombstones
from perdure.adapters.cassandra.listing import Listing
from perdure.adapters.cassandra.packing import Packed, chunks, unpacked
from perdure.adapters.cassandra.rows import Held, get_places, get_rows, get_sound_rows
from perdure.adapters.cassandra.writing import Writing, ends_something
from perdure.adapters.memory.gaps import gap_of
from perdure.codec.encoder import Encoder
from perdure.core.rows import InstanceRow
from perdure.ports.errors import HistoryDamaged
from perdure.ports.store import EPOCH_SHIFT, Filter, HistoryStore, Page, Resting, StoredInstance, StoredTurn

__all__ = ["CassandraHistoryStore"]

Rows = list[InstanceRow]  # inside the class, `list` is the method
READINGS = 4
READING_PAUSE_SECONDS = 0.05


class CassandraHistoryStore(HistoryStore):
    """Of one event loop; several may share a driver. Namespaces may share a keyspace."""

    def __init__(self, driver: Driver, namespace: str, encode: Encoder | None = None) -> None:
        self._requests = driver.requests()
        self._namespace = namespace
        self._encode = encode or Encoder()
        self._listing = Listing(self._requests, namespace)
        self._days: set[int] = set()  # rows of `days` are never deleted: once noted, noted

    async def append(self, partition: int, stored_to: int, position: int, turns: Sequence[StoredTurn]) -> None:
        ending = [turn.row.instance_id for turn in turns if ends_something(turn)]
        places = await get_places(self._requests, self._namespace, ending)
        writing = Writing(self._requests, self._namespace, partition, position, places, self._encode)
        await self._requests.write(writing.beside_rows(turns))
        await self._requests.write(writing.visible_days(self._days))
        self._days |= writing.days
        await self._requests.write(writing.rows(turns))
        await self._requests.write(writing.after_rows(turns))
        await self._requests.write(writing.places(turns))
        placed = position >> EPOCH_SHIFT << EPOCH_SHIFT | stored_to
        # Its own value is its timestamp, so the highest stays.
        await self._requests.write(
            [self._requests.bound("put_checkpoint", self._namespace, "history", partition, placed, placed)]
        )

    async def load(self, instance_ids: Sequence[str], *, events: bool = True) -> dict[str, StoredInstance]:
        ids = list(dict.fromkeys(instance_ids))
        found: dict[str, StoredInstance] = {}
        damages: dict[str, str] = {}
        wanted = ids
        for reading in range(READINGS):
            if reading:
                await asyncio.sleep(READING_PAUSE_SECONDS)
            held, damages = await get_rows(self._requests, self._namespace, wanted)
            rows = [held[key].row for key in wanted if key in held]
            found |= {row.instance_id: StoredInstance(row) for row in rows}
            if events:
                damages |= await self._read_histories([found[row.instance_id] for row in rows])
            wanted = list(damages)  # perhaps replaced between the two reads: then the row is another by now
            if not wanted:
                return {key: found[key] for key in ids if key in found}
        raise HistoryDamaged(damages)

    async def _read_histories(self, instances: Sequence[StoredInstance]) -> dict[str, str]:
        """Give each its events; what is wrong, by instance.

        Rows of `instances` are written after the events that they speak of, and before the deletion of others: what is
        lacking is lost, or of a generation whose row was replaced since it was read.
        """
        damages = {}
        for stored, packed in zip(instances, await self._packed([each.row for each in instances]), strict=True):
            row = stored.row
            try:
                stored.events = unpacked(packed, row.last_seq)
                damage = gap_of(row, stored.events)
            except ValueError as error:
                damage = str(error)
            if damage:
                damages[row.instance_id] = damage
        return damages

    async def _packed(self, rows: Rows) -> list[list[Packed]]:
        """Of each row its rows of history."""
        places = [
            (number, chunk)
            for number, row in enumerate(rows)
            if row.last_seq > 0 and row.status != "PURGED"
            for chunk in chunks(row.last_seq)
        ]
        answers = await self._requests.read_all(
            self._requests.bound(
                "get_history", self._namespace, rows[at].instance_id, rows[at].run, rows[at].generation, chunk
            )
            for at, chunk in places
        )
        packed: list[list[Packed]] = [[] for _ in rows]
        for (number, _), answer in zip(places, answers, strict=True):
            packed[number] += answer
        return packed

    async def stored_to(self, partition: int, epoch: int = 0) -> int:
        found = await self._requests.read("get_checkpoint", self._namespace, "history", partition)
        placed: int = found[0][0] if found else 0
        return placed - (epoch << EPOCH_SHIFT) if placed >> EPOCH_SHIFT == epoch else 0

    async def rest(self, partition: int, epoch: int, resting: Resting) -> None:
        placed = epoch << EPOCH_SHIFT | resting.offset
        values = (self._namespace, partition, placed, resting.marker, resting.end, resting.commands_end, placed)
        await self._requests.write([self._requests.bound("put_resting", *values)])

    async def resting(self, partition: int, epoch: int = 0) -> Resting | None:
        for placed, *kept in await self._requests.read("get_resting", self._namespace, partition):
            if placed >> EPOCH_SHIFT == epoch:
                return Resting(placed - (epoch << EPOCH_SHIFT), *kept)
        return None

    async def list(self, where: Filter, limit: int, after: str = "") -> Page:
        return await self._listing.page(where, limit, after)

    async def stalled(self, partition: int, limit: int) -> Rows:
        found: Rows = []
        async for page in self._requests.pages("get_stalled", self._namespace, partition):
            for start in range(0, len(page), 100):
                ids = [instance_id for (instance_id,) in page[start : start + 100]]
                held = await get_sound_rows(self._requests, self._namespace, ids)
                over = [key for key in ids if key not in held or not _stalls(held[key], partition)]
                found += [held[key].row for key in ids if key not in over]
                await self._unnote(partition, [held[key] for key in over if key in held])
                if len(found) >= limit:
                    return found[:limit]
        return found

    async def _unnote(self, partition: int, over: Sequence[Held]) -> None:
        """At the position that says so: if it stalls again, that is later."""
        await self._requests.write(
            self._requests.bound("drop_stalled", held.position, self._namespace, partition, held.row.instance_id)
            for held in over
        )

    async def forget_tombstones(self, before_us: int) -> int:
        return await forget_tombstones(self._requests, self._namespace, before_us)


def _stalls(held: Held, partition: int) -> bool:
    return held.row.status == "STALLED" and held.partition == partition
