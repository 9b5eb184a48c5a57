"""Deleting old tombstones.

The table `tombstones` lists them by day. The day from which on there may be some is kept in `checkpoints`, so that
years of empty days are not read again; it trails, for tombstones that a store outage brings late.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from perdure.adapters.cassandra.clearing import Place, drop_histories, drop_visible
from perdure.adapters.cassandra.places import SHARDS, day_of, instance_key
from perdure.adapters.cassandra.requests import Requests, Row
from perdure.adapters.cassandra.rows import get_places

__all__ = ["forget_tombstones"]

LATE_DAYS = 7


async def forget_tombstones(requests: Requests, namespace: str, before_us: int) -> int:
    """How many were deleted of those purged before that time."""
    found = await requests.read("get_checkpoint", namespace, "tombstones", 0)
    first_day, last_day = (found[0][0] if found else 0), day_of(before_us)
    forgotten = 0
    for (day,) in await requests.read("get_days", namespace, "tombstones", first_day, last_day):
        for shard in range(SHARDS):
            async for page in requests.pages("get_tombstones", namespace, day, shard, before_us):
                forgotten += await _forget(requests, namespace, page)
    done = max(0, last_day - LATE_DAYS)
    await requests.write([requests.bound("put_checkpoint", namespace, "tombstones", 0, done, done)])
    return forgotten


async def _forget(requests: Requests, namespace: str, tombstones: list[Row]) -> int:
    """Deleted with their own timestamps: the id may have a later run."""
    places = await get_places(requests, namespace, [instance_id for *_, instance_id, _ in tombstones])
    gone = {
        instance_id: places[instance_id]
        for *_, instance_id, position in tombstones
        if instance_id in places and (places[instance_id].status, places[instance_id].position) == ("PURGED", position)
    }
    await requests.write(
        statement for each, place in gone.items() for statement in _left(requests, namespace, each, place)
    )
    await requests.write(
        requests.bound("drop_instance", place.position, namespace, instance_key(each)) for each, place in gone.items()
    )
    await requests.write(requests.bound("drop_tombstone", row[-1], namespace, *row[:-1]) for row in tombstones)
    return len(gone)


def _left(requests: Requests, namespace: str, instance_id: str, place: Place) -> Iterator[Any]:
    """Of a purge that was cut off, should the log have been lost before anybody repeated it."""
    if not place.is_empty:
        over = [(place.run, place.generation, place.last_seq)]
        yield from drop_histories(requests, namespace, place.position, instance_id, over)
        yield drop_visible(requests, namespace, place.position, instance_id, place.created_at_us)
