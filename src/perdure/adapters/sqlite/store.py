"""The history store in the database file.

It reads the log's own table: the events are there already, indexed by instance, so `append` moves a position and
upserts rows. What it keeps away from readers is what the rows do not speak of yet: events beyond `last_seq`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from perdure.adapters.memory.gaps import check_gaps
from perdure.adapters.sqlite.database import Database
from perdure.adapters.sqlite.deletions import End, delete_superseded
from perdure.adapters.sqlite.queries import select_events, select_instances, select_page, select_rows
from perdure.adapters.sqlite.statements import execute_rows
from perdure.adapters.sqlite.topics import TopicTable
from perdure.codec.avro import encode
from perdure.core.names import Topics
from perdure.core.rows import InstanceRow
from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import EPOCH_SHIFT, Filter, HistoryStore, Page, Resting, StoredInstance, StoredTurn

__all__ = ["SqliteHistoryStore"]

Rows = list[InstanceRow]  # inside the class, `list` is the method
Flat = list[object]

_UPSERT = """
INSERT INTO instances
    (instance_id, partition, position, run, generation, status, name, created_at, updated_at, row) VALUES {rows}
ON CONFLICT (instance_id) DO UPDATE SET
    partition = excluded.partition, position = excluded.position, run = excluded.run,
    generation = excluded.generation, status = excluded.status, name = excluded.name,
    created_at = excluded.created_at, updated_at = excluded.updated_at, row = excluded.row
WHERE excluded.position >= position"""


class SqliteHistoryStore(HistoryStore):
    """Raises TopicMismatch if the file holds another namespace."""

    def __init__(self, database: Database, topics: Topics) -> None:
        self._database = database
        self._history_topic = topics.history
        database.keep_history(topics)

    async def append(self, partition: int, stored_to: int, position: int, turns: Sequence[StoredTurn]) -> None:
        ends = [End(turn.row.instance_id, turn.row.run, turn.row.generation, turn.row.status) for turn in turns]
        flat: Flat = []
        for turn in turns:
            row = turn.row
            flat += (row.instance_id, partition, position, row.run, row.generation, row.status, row.name)
            flat += (row.created_at_us, row.updated_at_us, encode(row))

        def step(connection: sqlite3.Connection) -> None:
            history = self._history()
            if history is not None:
                delete_superseded(connection, history, ends)
            execute_rows(connection, _UPSERT, 10, flat)
            connection.execute(
                "INSERT INTO stored_to VALUES (?, ?) ON CONFLICT (partition) DO UPDATE"
                " SET next_offset = max(next_offset, excluded.next_offset)",
                (partition, position >> EPOCH_SHIFT << EPOCH_SHIFT | stored_to),
            )

        await self._database.write(
            lambda transaction: transaction.then(step), failure=StoreUnavailable, weight=1 + len(turns)
        )

    async def load(self, instance_ids: Sequence[str], *, events: bool = True) -> dict[str, StoredInstance]:
        history = self._history() if events else None

        def query(connection: sqlite3.Connection) -> dict[str, StoredInstance]:
            rows = select_instances(connection, instance_ids)
            return {
                instance_id: StoredInstance(row, select_events(connection, history, row) if history else [])
                for instance_id, row in rows.items()
            }

        found = await self._database.read(query)
        if events:
            check_gaps(found)
        return found

    async def stored_to(self, partition: int, epoch: int = 0) -> int:
        def query(connection: sqlite3.Connection) -> int:
            found = connection.execute("SELECT next_offset FROM stored_to WHERE partition = ?", (partition,)).fetchone()
            placed: int = found[0] if found else 0
            return placed - (epoch << EPOCH_SHIFT) if placed >> EPOCH_SHIFT == epoch else 0

        return await self._database.read(query)

    async def rest(self, partition: int, epoch: int, resting: Resting) -> None:
        """The log is in this file, too, and nothing there is deleted for its age."""
        del partition, epoch, resting

    async def resting(self, partition: int, epoch: int = 0) -> Resting | None:
        del partition, epoch
        return None

    async def list(self, where: Filter, limit: int, after: str = "") -> Page:
        return await self._database.read(lambda connection: select_page(connection, where, limit, after))

    async def stalled(self, partition: int, limit: int) -> Rows:
        def query(connection: sqlite3.Connection) -> Rows:
            return select_rows(
                connection,
                "SELECT row FROM instances WHERE partition = ? AND status = 'STALLED' ORDER BY instance_id LIMIT ?",
                (partition, limit),
            )

        return await self._database.read(query)

    async def forget_tombstones(self, before_us: int) -> int:
        deleted = []

        def step(connection: sqlite3.Connection) -> None:
            found = connection.execute("DELETE FROM instances WHERE status = 'PURGED' AND updated_at < ?", (before_us,))
            deleted.append(found.rowcount)

        await self._database.write(lambda transaction: transaction.then(step), failure=StoreUnavailable)
        return deleted[-1]

    def _history(self) -> TopicTable | None:
        return self._database.topics.get(self._history_topic)
