"""The far timers on Cassandra.

The law: every row and every deletion has the position of the record that asked for it as its timestamp, so what was
asked for last holds, whoever writes it and whenever. An owner that has lost its shard and does not know yet may put,
remove or drop late, and the next one may read and write the same requests again: the rows end the same. Rejected: the
time of a clock, with which a late put brings back what a cancellation had removed, and the row stays for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.adapters.cassandra.batches import ROW_BYTES, batches
from perdure.adapters.cassandra.driver import Driver
from perdure.ports.clock import Clock
from perdure.ports.store import StoredTimer, TimerKey, TimerStore

__all__ = ["CassandraTimerStore"]


class CassandraTimerStore(TimerStore):
    """Of one event loop; several may share a driver. Namespaces may share a keyspace."""

    def __init__(self, driver: Driver, namespace: str, clock: Clock | None = None) -> None:  # noqa: ARG002 - until no caller gives one
        self._requests = driver.requests()
        self._namespace = namespace

    async def put(self, shard: int, slice_no: int, timers: Sequence[StoredTimer]) -> None:
        """The slice is noted first: a timer of an unknown slice would never be read."""
        if not timers:
            return
        latest: dict[tuple[str, str], StoredTimer] = {}
        for timer in sorted(timers, key=lambda timer: timer.position):
            latest[timer.instance_id, timer.identity] = timer  # statements of one batch must not depend on their order
        await self._requests.write([self._bound("put_slice", shard, slice_no, max(t.position for t in timers))])
        statements = (
            (
                self._bound(
                    "put_timer",
                    shard, slice_no, timer.instance_id, timer.identity, timer.fire_at_us, timer.value, timer.position,
                ),
                len(timer.value) + len(timer.instance_id) + len(timer.identity) + ROW_BYTES,
            )
            for timer in latest.values()
        )  # fmt: skip
        await self._requests.write(batches(self._requests, statements))

    async def load(self, shard: int, slice_no: int) -> list[StoredTimer]:
        rows = await self._requests.read("get_timers", self._namespace, shard, slice_no)
        timers = [StoredTimer(*row) for row in rows]
        return sorted(timers, key=lambda timer: (timer.fire_at_us, timer.instance_id, timer.identity))

    async def remove(self, shard: int, slice_no: int, keys: Sequence[TimerKey]) -> None:
        statements = (
            (
                self._deletion("drop_timer", position, shard, slice_no, instance_id, identity),
                len(instance_id) + len(identity) + ROW_BYTES,
            )
            for instance_id, identity, position in keys
        )
        await self._requests.write(batches(self._requests, statements))

    async def drop_slice(self, shard: int, slice_no: int, position: int) -> None:
        """The note goes last, so that an interrupted drop is repeated."""
        await self._requests.write([self._deletion("drop_timers", position, shard, slice_no)])
        await self._requests.write([self._deletion("drop_slice", position, shard, slice_no)])

    async def slices(self, shard: int, up_to: int) -> list[int]:
        rows = await self._requests.read("get_slices", self._namespace, shard)
        return [slice_no for (slice_no,) in rows if slice_no <= up_to]

    def _bound(self, query: str, *values: object) -> Any:
        return self._requests.bound(query, self._namespace, *values)

    def _deletion(self, query: str, at: int, *key: object) -> Any:
        return self._requests.bound(query, at, self._namespace, *key)
