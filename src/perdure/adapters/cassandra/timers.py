"""The far timers on Cassandra.

Their writes carry no position of a log, so they are ordered by a clock of the store's own: the time, but later than
everything that this store wrote or read of the shard. So an owner whose clock is behind still overrules the one before,
because it reads the shard's slices before it writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from perdure.adapters.cassandra.driver import Driver
from perdure.adapters.cassandra.requests import Requests
from perdure.ports.clock import Clock
from perdure.ports.store import StoredTimer, TimerStore

__all__ = ["CassandraTimerStore"]

BATCH_BYTES_MAX = 40 * 1024
BATCH_ROWS_MAX = 200
ROW_BYTES = 100  # of keys and timestamps, about


class CassandraTimerStore(TimerStore):
    """Of one event loop; several may share a driver. Namespaces may share a keyspace."""

    def __init__(self, driver: Driver, namespace: str, clock: Clock) -> None:
        self._requests = Requests(driver)
        self._namespace = namespace
        self._clock = clock
        self._last: dict[int, int] = {}  # by shard: the latest time written or read

    async def put(self, shard: int, slice_no: int, timers: Sequence[StoredTimer]) -> None:
        """The slice is noted first: a timer of an unknown slice would never be read."""
        at = await self._time(shard)
        await self._requests.write([self._bound("put_slice", shard, slice_no, at, at)])
        latest = {(timer.instance_id, timer.identity): timer for timer in timers}  # within one batch the last one holds
        statements = [
            (
                self._bound(
                    "put_timer", shard, slice_no, timer.instance_id, timer.identity, timer.fire_at_us, timer.value, at
                ),
                len(timer.value) + len(timer.instance_id) + len(timer.identity) + ROW_BYTES,
            )
            for timer in latest.values()
        ]
        await self._requests.write(self._batches(statements))

    async def load(self, shard: int, slice_no: int) -> list[StoredTimer]:
        rows = await self._requests.read("get_timers", self._namespace, shard, slice_no)
        self._last[shard] = max([self._last.get(shard, 0), *(row[-1] for row in rows)])
        timers = [StoredTimer(*row[:-1]) for row in rows]
        return sorted(timers, key=lambda timer: (timer.fire_at_us, timer.instance_id, timer.identity))

    async def remove(self, shard: int, slice_no: int, keys: Sequence[tuple[str, str]]) -> None:
        at = await self._time(shard)
        statements = [
            (self._deletion("drop_timer", at, shard, slice_no, *key), len(key[0]) + len(key[1]) + ROW_BYTES)
            for key in keys
        ]
        await self._requests.write(self._batches(statements))

    async def drop_slice(self, shard: int, slice_no: int) -> None:
        """The note goes last, so that an interrupted drop is repeated."""
        at = await self._time(shard)
        await self._requests.write([self._deletion("drop_timers", at, shard, slice_no)])
        await self._requests.write([self._deletion("drop_slice", at, shard, slice_no)])

    async def slices(self, shard: int, up_to: int) -> list[int]:
        return [slice_no for slice_no in await self._read_slices(shard) if slice_no <= up_to]

    async def _read_slices(self, shard: int) -> list[int]:
        rows = await self._requests.read("get_slices", self._namespace, shard)
        self._last[shard] = max([self._last.get(shard, 0), *(touched for _, touched in rows)])
        return [slice_no for slice_no, _ in rows]

    async def _time(self, shard: int) -> int:
        if shard not in self._last:
            await self._read_slices(shard)
        self._last[shard] = at = max(self._clock.now_us(), self._last[shard] + 1)
        return at

    def _batches(self, statements: Sequence[tuple[Any, int]]) -> Iterator[Any]:
        """Statements of one slice, which is one partition, with their sizes."""
        some: list[Any] = []
        size = 0
        for statement, statement_bytes in statements:
            if some and (size + statement_bytes > BATCH_BYTES_MAX or len(some) == BATCH_ROWS_MAX):
                yield self._requests.batch(some)
                some, size = [], 0
            some.append(statement)
            size += statement_bytes
        if some:
            yield self._requests.batch(some) if len(some) > 1 else some[0]

    def _bound(self, query: str, *values: object) -> Any:
        return self._requests.bound(query, self._namespace, *values)

    def _deletion(self, query: str, at: int, *key: object) -> Any:
        return self._requests.bound(query, at, self._namespace, *key)
