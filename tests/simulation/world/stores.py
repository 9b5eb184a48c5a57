"""The stores' ports, as one process has them. Writing is many requests, as it is with Cassandra: any of them may fail, be
late, or come after what was written since.
"""

from __future__ import annotations

import asyncio

from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import HistoryStore, TimerStore
from tests.simulation.world.cells import over


async def _all(calls):
    """Wait for each, whatever becomes of the others; then raise what any has raised."""
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


class _Distant:
    """`shared` is what all processes see of the server."""

    def __init__(self, host, shared):
        self._host = host
        self._shared = shared

    async def _ask(self, label, work):
        if self._host.world.over:
            raise StoreUnavailable("the world has ended")
        refused = StoreUnavailable("the store refused it")
        return await self._host.call("store", work, label, refused=refused)


class SimulatedHistoryStore(_Distant, HistoryStore):
    async def append(self, partition, stored_to, position, turns):
        """Each turn by itself, events before the row; how far it goes only once all of them are there."""
        shared, host = self._shared, self._host
        host.world.trace(host.name, f"stores {len(turns)} of partition {partition} up to {stored_to}")
        await _all(self._store(partition, position, turn) for turn in turns)
        await self._ask("store a position", lambda: shared.append(partition, stored_to, position, []))

    async def _store(self, partition, position, turn):
        shared, row = self._shared, turn.row
        what = f"'{row.instance_id}'"
        stored = await self._ask(f"look for {what}", lambda: shared.place(row.instance_id))
        late = stored is not None and stored[1] > position
        if late and (stored[0].run, stored[0].generation) != (row.run, row.generation):
            return  # of what was replaced since
        purged = row.status == "PURGED"
        if purged:
            await self._ask(f"store the tombstone of {what}", lambda: shared.put_row(partition, position, row))
        for place in over(turn, stored):
            await self._ask(f"drop events of {what}", lambda: shared.drop(position, (row.instance_id, *place)))
        if not purged:
            await self._ask(f"store events of {what}", lambda: shared.put_events(position, row, turn.events))
            await self._ask(f"store the row of {what}", lambda: shared.put_row(partition, position, row))

    async def load(self, instance_ids, *, events=True):
        ids = list(instance_ids)
        return await self._ask(f"load {len(ids)}", lambda: self._shared.load(ids, events=events))

    async def stored_to(self, partition, epoch=0):
        return await self._ask("stored up to", lambda: self._shared.stored_to(partition, epoch))

    async def rest(self, partition, epoch, resting):
        self._host.world.trace(self._host.name, f"partition {partition} rests at {resting.offset}")
        await self._ask("rest", lambda: self._shared.rest(partition, epoch, resting))

    async def resting(self, partition, epoch=0):
        return await self._ask("resting", lambda: self._shared.resting(partition, epoch))

    async def list(self, where, limit, after=""):
        return await self._ask("list", lambda: self._shared.list(where, limit, after))

    async def stalled(self, partition, limit):
        return await self._ask("stalled", lambda: self._shared.stalled(partition, limit))

    async def forget_tombstones(self, before_us):
        return await self._ask("forget tombstones", lambda: self._shared.forget_tombstones(before_us))


class SimulatedTimerStore(_Distant, TimerStore):
    async def put(self, shard, slice_no, timers):
        shared = self._shared
        await _all(
            self._ask(f"put a timer of {shard}/{slice_no}", lambda each=each: shared.put(shard, slice_no, [each]))
            for each in timers
        )

    async def load(self, shard, slice_no):
        return await self._ask(f"load timers {shard}/{slice_no}", lambda: self._shared.load(shard, slice_no))

    async def remove(self, shard, slice_no, keys):
        shared = self._shared
        await _all(
            self._ask(f"remove a timer of {shard}/{slice_no}", lambda each=each: shared.remove(shard, slice_no, [each]))
            for each in keys
        )

    async def drop_slice(self, shard, slice_no, position):
        self._host.world.trace(self._host.name, f"drops slice {slice_no} of shard {shard}")
        await self._ask("drop a slice", lambda: self._shared.drop_slice(shard, slice_no, position))

    async def slices(self, shard, up_to):
        return await self._ask(f"slices {shard}", lambda: self._shared.slices(shard, up_to))
