"""Rows of the table instances.

Many ids a query, though the coordinator then asks their replicas: a query costs this process some 300 µs of CPU, an id
within one a tenth of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from perdure.adapters.cassandra.clearing import Place
from perdure.adapters.cassandra.places import instance_key
from perdure.adapters.cassandra.requests import Requests, Row
from perdure.codec.avro import decode
from perdure.core.rows import InstanceRow

__all__ = ["Held", "get_places", "get_rows", "get_sound_rows"]

log = structlog.get_logger("perdure.cassandra")

IDS_PER_QUERY = 50  # rows may hold inputs and outputs of a megabyte each: the driver's pages bound the answer


class Held(NamedTuple):
    partition: int
    position: int
    row: InstanceRow


async def get_rows(
    requests: Requests, namespace: str, instance_ids: Sequence[str]
) -> tuple[dict[str, Held], dict[str, str]]:
    """By instance; and what is wrong with those rows that cannot be read."""
    found, damages = {}, {}
    for key, partition, position, blob in await _ask(requests, "get_instances", namespace, instance_ids):
        instance_id = "" if key == instance_key("") else key
        try:
            row = decode(blob or b"")
            if type(row) is not InstanceRow or row.instance_id != instance_id:
                raise ValueError("it is another's")  # noqa: TRY301
        except ValueError as error:
            damages[instance_id] = f"the row cannot be read ({error})"
        else:
            found[instance_id] = Held(partition, position, row)
    return found, damages


async def get_sound_rows(requests: Requests, namespace: str, instance_ids: Sequence[str]) -> dict[str, Held]:
    """Those that can be read: a listing goes on without the others, which their owners tell of."""
    found, damages = await get_rows(requests, namespace, instance_ids)
    for instance_id, damage in damages.items():
        log.warning("an instance is left out of a listing", instance_id=instance_id, reason=damage)
    return found


async def get_places(requests: Requests, namespace: str, instance_ids: Sequence[str]) -> dict[str, Place]:
    places = (Place(*columns) for columns in await _ask(requests, "get_places", namespace, instance_ids))
    return {"" if place.instance_id == instance_key("") else place.instance_id: place for place in places}


async def _ask(requests: Requests, query: str, namespace: str, instance_ids: Sequence[str]) -> list[Row]:
    keys = [instance_key(each) for each in instance_ids]
    some = (keys[start : start + IDS_PER_QUERY] for start in range(0, len(keys), IDS_PER_QUERY))
    answers = await requests.read_all(requests.bound(query, namespace, ids) for ids in some)
    return [row for answer in answers for row in answer]
