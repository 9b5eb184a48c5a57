"""Rows of the table instances.

Many ids a query, though the coordinator then asks their replicas: a query costs this process some 300 µs of CPU, an id
within one a tenth of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from perdure.adapters.cassandra.places import instance_key
from perdure.adapters.cassandra.requests import Requests, Row
from perdure.adapters.cassandra.writing import Place
from perdure.codec.avro import decode
from perdure.core.rows import InstanceRow

__all__ = ["Held", "get_places", "get_rows"]

IDS_PER_QUERY = 50  # rows may hold inputs and outputs of a megabyte each: the driver's pages bound the answer


class Held(NamedTuple):
    partition: int
    position: int
    row: InstanceRow


async def get_rows(requests: Requests, namespace: str, instance_ids: Sequence[str]) -> dict[str, Held]:
    found = {}
    for partition, position, blob in await _ask(requests, "get_instances", namespace, instance_ids):
        row = decode(blob)
        found[row.instance_id] = Held(partition, position, row)
    return found


async def get_places(requests: Requests, namespace: str, instance_ids: Sequence[str]) -> dict[str, Place]:
    places = (Place(*columns) for columns in await _ask(requests, "get_places", namespace, instance_ids))
    return {"" if place.instance_id == instance_key("") else place.instance_id: place for place in places}


async def _ask(requests: Requests, query: str, namespace: str, instance_ids: Sequence[str]) -> list[Row]:
    keys = [instance_key(each) for each in instance_ids]
    some = (keys[start : start + IDS_PER_QUERY] for start in range(0, len(keys), IDS_PER_QUERY))
    answers = await requests.read_all(requests.bound(query, namespace, ids) for ids in some)
    return [row for answer in answers for row in answer]
