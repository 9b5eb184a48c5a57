"""What of an instance has to be cleared away, as long as it is there.

The law: a row of `instances` is replaced before what it spoke of is deleted. Its columns run, generation, last_seq and
created_at follow only when all of that is gone. So whoever repeats an append that was cut off finds there what is left to
be cleared, though the row is the new one.

Rejected: a logged batch of the row with its deletions. Cassandra refuses such batches from 50 KB on, and a row may hold
megabytes; nor is a batch that is half replayed whole in a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from perdure.adapters.cassandra.packing import chunks
from perdure.adapters.cassandra.places import visible_at
from perdure.adapters.cassandra.requests import Requests
from perdure.core.rows import InstanceRow

__all__ = ["NOTHING", "Place", "drop_histories", "drop_visible"]

NOTHING = -1
"""The last_seq of a place at which nothing lies any more."""


class Place(NamedTuple):
    """What is stored of an instance already. The columns of the query get_places: position and status are the row's, the
    others tell what lies in `history` and `visibility`.
    """

    instance_id: str
    position: int
    run: str
    generation: int
    last_seq: int
    status: str
    created_at_us: int

    @property
    def is_empty(self) -> bool:
        return self.last_seq == NOTHING

    def is_ended_by(self, row: InstanceRow) -> bool:
        return row.status == "PURGED" or (self.run, self.generation) != (row.run, row.generation)


def drop_histories(
    requests: Requests, namespace: str, position: int, instance_id: str, over: Iterable[tuple[str, int, int]]
) -> Iterator[Any]:
    """Of the instance's generations (run, generation, last seq), each partition once."""
    places = {(run, generation, chunk): None for run, generation, last_seq in over for chunk in chunks(last_seq)}
    for place in places:
        yield requests.bound("drop_history", position, namespace, instance_id, *place)


def drop_visible(requests: Requests, namespace: str, position: int, instance_id: str, created_at_us: int) -> Any:
    return requests.bound("drop_visible", position, namespace, *visible_at(instance_id, created_at_us))
