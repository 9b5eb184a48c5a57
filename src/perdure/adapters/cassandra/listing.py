"""Pages of rows, newest first.

The table `visibility` is read by days, all shards of a day in one query, some rows of each; rows down to the place
where the first of the shards was cut off are complete, and the next query goes on from there. Conditions on name and
status are tested here, on columns of 100 bytes. Rejected: storage-attached indexes, which every change of a status
would pay for, take no IN, and help rare matches only. For these, a page ends early after ROWS_SCANNED_MAX rows, with a
token that goes on.

`visibility` may lag or tell of what was purged: what is shown is what `instances` says.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from perdure.adapters.cassandra.places import SHARDS, day_of, first_us
from perdure.adapters.cassandra.requests import Requests
from perdure.adapters.cassandra.rows import get_sound_rows
from perdure.adapters.memory.paging import page_token, place_of
from perdure.core.rows import InstanceRow
from perdure.ports.store import Filter, Page

__all__ = ["Listing"]

ROWS_SCANNED_MAX = 50_000
ROWS_PER_SHARD_MAX = 200
DAYS_PER_QUERY_MAX = 8
TIME_END = 2**62

Order = tuple[int, str]
"""A row's place: (-created_at, instance id), ascending."""


class Candidate(NamedTuple):
    """The columns of the query get_visible."""

    day: int
    shard: int
    created_down: int
    instance_id: str
    name: str
    status: str

    @property
    def order(self) -> Order:
        return self.created_down, self.instance_id


class Listing:
    def __init__(self, requests: Requests, namespace: str) -> None:
        self._requests = requests
        self._namespace = namespace

    async def page(self, where: Filter, limit: int, after: str) -> Page:
        """One row more than asked for tells whether there is a next page."""
        start: Order = (1 - where.created_to_us, "") if where.created_to_us else (-TIME_END, "")
        if after:
            created_at_us, instance_id = place_of(after)
            start = max(start, (-created_at_us, instance_id))
        days = await self._days(where, start)
        filtered = bool(where.names or where.statuses or where.id_prefix)
        per_shard = ROWS_PER_SHARD_MAX if filtered else max(1, min(limit + 1, 16 + limit // 8, ROWS_PER_SHARD_MAX))
        found: list[InstanceRow] = []
        scanned, span = 0, 1
        while days and len(found) <= limit:
            if scanned > ROWS_SCANNED_MAX:
                return Page(found, page_token(-start[0], start[1]))
            candidates, end = await self._scan(days[:span], start, where, per_shard)
            found += await self._confirmed(candidates, where, limit + 1 - len(found))
            scanned += len(candidates)
            if end is None:
                start = (1 - first_us(days[:span][-1]), "")  # a page that ends early goes on below these days
                days = days[span:]
                span = min(span * 2, DAYS_PER_QUERY_MAX) if len(candidates) < per_shard else 1
            else:
                start = end
        shown = found[: max(limit, 0)]
        more = len(found) > limit and shown
        return Page(shown, page_token(shown[-1].created_at_us, shown[-1].instance_id) if more else "")

    async def _days(self, where: Filter, start: Order) -> list[int]:
        newest = 2**31 - 1 if start[0] == -TIME_END else day_of(-start[0])
        rows = await self._requests.read(
            "get_days", self._namespace, "visibility", day_of(where.created_from_us), newest
        )
        return [day for (day,) in rows]

    async def _scan(
        self, days: list[int], start: Order, where: Filter, per_shard: int
    ) -> tuple[list[Candidate], Order | None]:
        """Rows after start in order, and the place up to which they are complete; None: to the end of these days."""
        rows = await self._requests.read(
            "get_visible", self._namespace, days, list(range(SHARDS)), *start, -where.created_from_us, per_shard
        )
        candidates = sorted((Candidate(*row) for row in rows), key=lambda candidate: candidate.order)
        counts: Counter[tuple[int, int]] = Counter()
        for place, candidate in enumerate(candidates):
            counts[candidate.day, candidate.shard] += 1
            if counts[candidate.day, candidate.shard] == per_shard:
                return candidates[: place + 1], candidate.order
        return candidates, None

    async def _confirmed(self, candidates: list[Candidate], where: Filter, wanted: int) -> list[InstanceRow]:
        """The first rows that fit, until there are at least as many as wanted."""
        likely = [each for each in candidates if _may_fit(each, where)]
        found: list[InstanceRow] = []
        while likely and len(found) < wanted:
            some, likely = likely[:wanted], likely[wanted:]
            held = await get_sound_rows(self._requests, self._namespace, [each.instance_id for each in some])
            rows = ((each, held[each.instance_id].row) for each in some if each.instance_id in held)
            found += [row for each, row in rows if -each.created_down == row.created_at_us and _fits(row, where)]
        return found


def _may_fit(candidate: Candidate, where: Filter) -> bool:
    return (
        (not where.names or candidate.name in where.names)
        and (not where.statuses or candidate.status in where.statuses)
        and candidate.instance_id.startswith(where.id_prefix)
    )


def _fits(row: InstanceRow, where: Filter) -> bool:
    return (
        row.status != "PURGED"
        and (not where.names or row.name in where.names)
        and (not where.statuses or row.status in where.statuses)
    )
