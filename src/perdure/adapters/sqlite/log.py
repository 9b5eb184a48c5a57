"""The log in the database file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence

from perdure.adapters.memory.member import Member
from perdure.adapters.sqlite.database import Database
from perdure.adapters.sqlite.records import delete_rows
from perdure.adapters.sqlite.topics import TopicTable, create_topics
from perdure.adapters.sqlite.transaction import Transaction
from perdure.ports.errors import Fenced, LogClosed, PortError, TopicMismatch
from perdure.ports.log import Consumed, GroupListener, Log, Outgoing, Record, TopicSpec, Writer

__all__ = ["SqliteLog"]


class SqliteLog(Log):
    """One client of the database. Closing it leaves the groups; the database is closed by whoever opened it."""

    def __init__(self, database: Database, client_id: str = "sqlite") -> None:
        self.client_id = client_id
        self._database = database
        self._members: list[Member] = []
        self._closed = False

    async def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        database = self._open()
        self._check_counts(database, specs)
        missing = [spec for spec in specs if spec.name not in database.topics]
        if missing:
            made: list[TopicTable] = []
            await database.write_then(
                lambda connection: made.extend(create_topics(connection, missing, database.history_topic)),
                lambda: database.add_topics(made),
            )
            self._check_counts(database, specs)  # another client may have been first

    def _check_counts(self, database: Database, specs: Sequence[TopicSpec]) -> None:
        for spec in specs:
            known = database.topics.get(spec.name)
            if known is not None and known.partitions != spec.partitions:
                raise TopicMismatch(
                    f"topic {spec.name} has {known.partitions} partitions in {database.path}, not {spec.partitions}:"
                    " ids would move. Keep the number, or begin a new file"
                )

    async def partitions(self, topic: str) -> int:
        return self._open().partition_count(topic)

    async def join(self, group: str, topics: Sequence[str], listener: GroupListener) -> Member:
        member = await self._open().groups.join(group, topics, listener)
        self._members = [known for known in self._members if not known.left]
        self._members.append(member)
        return member

    async def open_writer(self, transactional_id: str) -> Writer:
        return await _SqliteWriter.open(self, self._open(), transactional_id)

    async def append(self, records: Sequence[Outgoing]) -> None:
        database = self._open()
        database.check(records)
        if records and not (all(record.volatile for record in records) and database.publish_volatile(records)):
            await database.write_records(records)

    async def fetch(self, topic: str, partition: int, offset: int, max_records: int) -> list[Record]:
        tail = self._open().source(topic, partition)
        offset = max(offset, tail.start)
        while offset < tail.end:
            found = tail.ready(offset, max_records)
            records, offset = await tail.load(offset, max_records) if found is None else found
            if records:
                return records
        return []

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        tail = self._open().source(topic, partition)
        return tail.start, tail.end

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        database = self._open()
        tail = database.source(topic, partition)
        table, offset = tail.ledger.table, min(offset, tail.end)

        def step(connection: sqlite3.Connection) -> None:
            delete_rows(connection, table, partition, offset)
            connection.execute(
                "UPDATE partitions SET begins_at = ? WHERE topic_id = ? AND partition = ?",
                (offset, table.topic_id, partition),
            )

        if offset > tail.start:
            await database.write_then(step, lambda: tail.delete_before(offset))

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.gather(*(member.leave() for member in self._members))

    def _open(self) -> Database:
        self.check_open()
        return self._database

    def check_open(self) -> None:
        if self._closed or self._database.closed:  # whichever was closed: both end this log
            raise LogClosed(f"the log {self.client_id} was closed in this process")


class _SqliteWriter(Writer):
    """Fenced in the write thread: what was queued before a newer writer was opened is written, or aborted, first."""

    def __init__(self, log: SqliteLog, database: Database, transactional_id: str, epoch: int) -> None:
        self._log = log
        self._database = database
        self._transactional_id = transactional_id
        self._epoch = epoch
        self._dead = False

    @classmethod
    async def open(cls, log: SqliteLog, database: Database, transactional_id: str) -> Writer:
        def fence(_: Transaction) -> int:
            database.epochs[transactional_id] = database.epochs.get(transactional_id, 0) + 1
            return database.epochs[transactional_id]

        return cls(log, database, transactional_id, await database.write(fence, durable=False, needs_disk=False))

    async def commit(self, records: Sequence[Outgoing], *, consumed: Consumed | None = None) -> int:
        self._log.check_open()
        if not records and consumed is None:
            raise ValueError("a commit needs records")
        try:
            self._check_alive()
            self._database.check(records)
        except PortError:
            self._die()
            raise
        return await self._database.write_records(records, self._check_in_thread, self._die, consumed)

    async def close(self) -> None:
        self._dead = True

    def _check_in_thread(self) -> None:
        self._check_alive()
        if self._database.epochs[self._transactional_id] != self._epoch:
            self._die()
            raise Fenced(f"a newer writer of {self._transactional_id} exists: this one stops")

    def _check_alive(self) -> None:
        if self._dead:
            raise Fenced(f"this writer of {self._transactional_id} failed before, or was closed: open a new one")

    def _die(self) -> None:
        self._dead = True
