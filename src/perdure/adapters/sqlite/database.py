"""The database: one file, its owner, its write thread and its read thread, seen from the event loop.

`SqliteLog`, `SqliteHistoryStore` and `SqliteTimerStore` are views of it. Requests made in one tick of the loop are
handed over together, so that they land in one transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog

from perdure.adapters.memory.groups import Groups
from perdure.adapters.memory.source import Cluster
from perdure.adapters.memory.validity import check_records, topic_missing
from perdure.adapters.sqlite.connection import refusal
from perdure.adapters.sqlite.ledger import Ledger
from perdure.adapters.sqlite.opening import Contents, open_file
from perdure.adapters.sqlite.ownership import Ownership
from perdure.adapters.sqlite.positions import Place, Positions, write_positions
from perdure.adapters.sqlite.read_thread import ReadThread
from perdure.adapters.sqlite.tail import Tail
from perdure.adapters.sqlite.topics import TopicTable, make_history, read_topics
from perdure.adapters.sqlite.transaction import Step, Transaction
from perdure.adapters.sqlite.writer import Delivery, Request, WriteThread
from perdure.core.names import Topics
from perdure.ports.clock import Clock
from perdure.ports.errors import CommitFailed, LogClosed, PortError, StoreUnavailable, TopicMismatch
from perdure.ports.log import Committed, Consumed, Outgoing, Record

__all__ = ["Database", "open_database"]

log = structlog.get_logger(__name__)

T = TypeVar("T")


async def open_database(
    path: str | Path, *, clock: Clock, after_commit: Callable[[int], None] | None = None
) -> Database:
    """Open or create the file and become its owner. `after_commit` is called in the write thread with the number of
    each COMMIT, before anybody is told of it.

    Raises DatabaseInUse, DatabaseDamaged, or StoreUnavailable (the file cannot be opened: the text says why).
    """
    ownership = Ownership(path)
    try:
        database = Database(clock, ownership, after_commit)
        await database.open()
    except BaseException:
        ownership.release()
        raise
    return database


class Database(Cluster):
    def __init__(self, clock: Clock, ownership: Ownership, after_commit: Callable[[int], None] | None) -> None:
        self.path = path = ownership.database
        self.clock = clock
        self.groups = Groups(self)
        self.epochs: dict[str, int] = {}  # of transactional ids; the write thread's
        self.topics: dict[str, TopicTable] = {}
        self.namespace = ""
        self.history_topic = ""
        self.closed = False
        self._ownership = ownership
        self._tails: dict[tuple[str, int], Tail] = {}
        self._ledgers: dict[tuple[str, int], Ledger] = {}
        self._pending: list[Request] = []
        self._durable_pending = False
        self._last_number = 0
        self._delivered = 0
        self._writer = WriteThread(path, self._begin, self._deliver, after_commit)
        self._positions = Positions({}, self._flush_lazy)

    async def open(self) -> None:
        contents: Contents = await self._writer.open(lambda: open_file(self.path))
        self.namespace = contents.namespace
        self._positions = Positions(contents.positions, self._flush_lazy)
        self.topics.update(contents.topics)
        for ledger, start in contents.partitions:
            self._add_partition(ledger, start)
        try:
            self._reader = ReadThread(self.path)
        except sqlite3.Error as error:
            await self._writer.close(self._leave_behind)
            raise refusal(error, self.path) from None

    async def close(self) -> None:
        """Write what is queued, empty the write-ahead file, free the file. Twice is harmless."""
        if self.closed:
            return
        self.groups.dissolve()
        self._flush_lazy()
        self._hand_over()
        self.closed = True
        try:
            await self._reader.close()
            await self._writer.close(self._leave_behind)
        finally:
            self._ownership.release()

    def write(
        self,
        apply: Callable[[Transaction], T],
        *,
        failure: type[PortError] = CommitFailed,
        failed: Callable[[], None] | None = None,
        weight: int = 1,
        durable: bool = True,
        needs_disk: bool = True,
    ) -> asyncio.Future[T]:
        """Let the write thread apply this in its next transaction."""
        if self.closed:
            gone = LogClosed if failure is CommitFailed else failure
            raise gone(f"the database {self.path} was closed in this process")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._last_number += 1
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._pending.append(Request(apply, future, failure, failed, weight, self._last_number, needs_disk))
        self._durable_pending = self._durable_pending or durable
        return future

    async def write_then(self, step: Step, then: Callable[[], None]) -> None:
        """Let the next transaction do this, and when it is written, whoever still waits, do `then` on the loop."""
        future = self.write(lambda transaction: transaction.then(step))
        future.add_done_callback(lambda done: None if done.exception() else then())
        await asyncio.shield(future)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self.closed:
            raise StoreUnavailable(f"the database {self.path} was closed in this process")
        return await self._reader.read(query)

    def write_records(
        self,
        records: Sequence[Outgoing],
        check: Callable[[], None] | None = None,
        failed: Callable[[], None] | None = None,
        consumed: Consumed | None = None,
    ) -> asyncio.Future[int]:
        """Add records; the result is the last one's offset. `check` runs in the write thread, before it adds."""

        def apply(transaction: Transaction) -> int:
            if check is not None:
                check()
            if consumed is not None:
                write_positions({_place_of(consumed): consumed.committed})(transaction)
            return transaction.add(records) if records else -1

        durable = consumed is not None
        for record in records:
            self._tails[record.topic, record.partition].last_request = self._last_number + 1
            durable = durable or not record.volatile
        written = self.write(apply, failed=failed, weight=len(records), durable=durable)
        if consumed is None:
            return written
        written.add_done_callback(lambda done: None if done.exception() else self._was_consumed(consumed))
        return asyncio.shield(written)  # written or not, whoever still waits: what is known here follows it

    def _was_consumed(self, consumed: Consumed) -> None:
        self._positions.put(_place_of(consumed), consumed.committed)
        tail = self._tails.get((consumed.topic, consumed.partition))
        if tail is not None:
            tail.release(self._positions.lowest(consumed.topic, consumed.partition))

    def publish_volatile(self, records: Sequence[Outgoing]) -> bool:
        """Hand volatile records to readers at once, if no earlier one of their partitions is under way."""
        tails = [self._tails[record.topic, record.partition] for record in records]
        for tail in tails:
            ledger = tail.ledger
            busy = tail.last_request > self._delivered
            if busy or ledger.volatile_full or ledger.table.is_history or ledger.next + len(tails) > ledger.reserved:
                return False
        timestamp_ms = self.clock.now_us() // 1000
        for tail, record in zip(tails, records, strict=True):
            offset = tail.ledger.next
            tail.ledger.next = offset + 1
            seen = Record(
                record.topic, record.partition, offset, record.key, record.value, record.headers, timestamp_ms
            )
            tail.publish([seen], [seen], offset + 1)
        return True

    def keep_history(self, topics: Topics) -> None:
        """The namespace's history topic is the history store. Raises TopicMismatch if the file has another one."""
        if self.namespace not in ("", topics.namespace):
            raise TopicMismatch(
                f"{self.path} belongs to the namespace {self.namespace}, not {topics.namespace}: give another file"
            )
        self.history_topic = topics.history
        if self.namespace != topics.namespace:
            self.namespace = topics.namespace
            self.write(lambda transaction: transaction.then(self._record_namespace)).add_done_callback(_log_failure)

    def _record_namespace(self, connection: sqlite3.Connection) -> None:
        connection.execute("REPLACE INTO meta VALUES ('namespace', ?)", (self.namespace,))
        table = read_topics(connection).get(self.history_topic)
        if table is not None:
            make_history(connection, table)
            self.topics.get(self.history_topic, table).is_history = True

    def add_topics(self, tables: Sequence[TopicTable]) -> None:
        """They were created in the file."""
        for table in tables:
            self.topics[table.topic] = table
            table.is_history = table.topic == self.history_topic
            for number in range(table.partitions):
                self._add_partition(Ledger(table, number, 0), 0)

    def _add_partition(self, ledger: Ledger, start: int) -> None:
        place = ledger.table.topic, ledger.partition
        self._ledgers[place] = ledger
        self._tails[place] = Tail(self, ledger, start)

    def check(self, records: Sequence[Outgoing]) -> None:
        """Raises RecordTooLarge or TopicMissing."""
        check_records(records, self.partition_count)

    def partition_count(self, topic: str) -> int:
        table = self.topics.get(topic)
        if table is None:
            raise topic_missing(topic)
        return table.partitions

    def source(self, topic: str, partition: int) -> Tail:
        tail = self._tails.get((topic, partition))
        if tail is None:
            raise topic_missing(f"{topic}[{partition}]" if topic in self.topics else topic)
        return tail

    def committed(self, group: str, topic: str, partition: int) -> Committed:
        return self._positions.get((group, topic, partition))

    async def commit_offset(self, group: str, topic: str, partition: int, position: Committed, *, lazy: bool) -> None:
        place = group, topic, partition
        if lazy:
            self._positions.put_lazy(place, position)
        else:
            take_back = self._positions.put(place, position)
            try:
                await self.write(write_positions({place: position}))
            except PortError:
                take_back()
                raise
        self._tails[topic, partition].release(self._positions.lowest(topic, partition))

    def _begin(self) -> Transaction:
        return Transaction(self._ledgers, self.clock.now_us() // 1000)

    def _hand_over(self) -> None:
        if self._pending:
            if self._durable_pending:
                self._flush_lazy()
            pending, self._pending, self._durable_pending = self._pending, [], False
            self._writer.hand_over(pending)

    def _flush_lazy(self) -> None:
        lazy = self._positions.take_lazy()
        if lazy and not self.closed:
            future = self.write(write_positions(lazy))
            future.add_done_callback(lambda done: self._positions.give_back(lazy) if done.exception() else None)

    def _deliver(self, delivery: Delivery) -> None:
        """On the loop: readers first, then callers, so that whoever was told finds what it was told of."""
        for ledger, publication in delivery.published.items():
            tail = self._tails[ledger.table.topic, ledger.partition]
            tail.publish(publication.records, publication.volatile, publication.end)
        for request, value, error in delivery.results:
            self._delivered = request.number
            if request.future.done():  # whoever waited was cancelled
                continue
            if error is None:
                request.future.set_result(value)
            else:
                request.future.set_exception(error)

    def _leave_behind(self, connection: sqlite3.Connection) -> None:
        """Last act of the write thread: nothing is reserved any more, and nothing is left in the WAL."""
        connection.execute("BEGIN IMMEDIATE")
        rows: list[tuple[Any, ...]] = [
            (ledger.next, ledger.table.topic_id, ledger.partition) for ledger in self._ledgers.values()
        ]
        connection.executemany("UPDATE partitions SET reserved = ? WHERE topic_id = ? AND partition = ?", rows)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _place_of(consumed: Consumed) -> Place:
    return consumed.group, consumed.topic, consumed.partition


def _log_failure(done: asyncio.Future[None]) -> None:
    if done.exception() is not None:
        log.warning("the namespace could not be recorded", error=str(done.exception()))
