"""The far timers in the database file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import cast

from perdure.adapters.sqlite.database import Database
from perdure.adapters.sqlite.statements import execute_rows, select_packed
from perdure.adapters.sqlite.transaction import Step
from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import StoredTimer, TimerKey, TimerStore

__all__ = ["SqliteTimerStore"]


class SqliteTimerStore(TimerStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, shard: int, slice_no: int, timers: Sequence[StoredTimer]) -> None:
        flat: list[object] = []
        for timer in timers:
            flat += (shard, slice_no, timer.instance_id, timer.identity, timer.fire_at_us, timer.value)

        def step(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO timer_slices VALUES (?, ?)", (shard, slice_no))
            execute_rows(connection, "REPLACE INTO timers VALUES {rows}", 6, flat)

        await self._write(step)

    async def load(self, shard: int, slice_no: int) -> list[StoredTimer]:
        def query(connection: sqlite3.Connection) -> list[StoredTimer]:
            rows = select_packed(
                connection,
                ("fire_at_us",),
                ("instance_id", "identity", "value"),
                "SELECT * FROM timers WHERE shard = ? AND slice_no = ? ORDER BY fire_at_us, instance_id, identity",
                (shard, slice_no),
            )
            return [
                StoredTimer(fire_at_us, instance_id.decode(), identity.decode(), value)
                for fire_at_us, instance_id, identity, value in cast("list[tuple[int, bytes, bytes, bytes]]", rows)
            ]

        return await self._database.read(query)

    async def remove(self, shard: int, slice_no: int, keys: Sequence[TimerKey]) -> None:
        flat: list[object] = []
        for instance_id, identity, _ in keys:
            flat += (shard, slice_no, instance_id, identity)

        def step(connection: sqlite3.Connection) -> None:
            execute_rows(
                connection,
                "DELETE FROM timers WHERE (shard, slice_no, instance_id, identity) IN (VALUES {rows})",
                4,
                flat,
            )

        await self._write(step)

    async def drop_slice(self, shard: int, slice_no: int, position: int) -> None:  # noqa: ARG002 - the port says why
        def step(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM timers WHERE shard = ? AND slice_no = ?", (shard, slice_no))
            connection.execute("DELETE FROM timer_slices WHERE shard = ? AND slice_no = ?", (shard, slice_no))

        await self._write(step)

    async def slices(self, shard: int, up_to: int) -> list[int]:
        def query(connection: sqlite3.Connection) -> list[int]:
            rows = connection.execute(
                "SELECT slice_no FROM timer_slices WHERE shard = ? AND slice_no <= ? ORDER BY slice_no", (shard, up_to)
            )
            return [slice_no for (slice_no,) in rows]

        return await self._database.read(query)

    async def _write(self, step: Step) -> None:
        await self._database.write(lambda transaction: transaction.then(step), failure=StoreUnavailable)
