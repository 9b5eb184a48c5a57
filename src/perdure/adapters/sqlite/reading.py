"""Reading beside the owner: what `perdure list | get | history --db FILE` shows.

No lock, no thread, nothing written; each call sees what is committed at that moment. Rows lag behind the log by what
the owner has not stored yet; events are read from the log itself, so that they do not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from perdure.adapters.sqlite.connection import check_identity, connect_read_only, refusal
from perdure.adapters.sqlite.queries import select_events, select_instances, select_page
from perdure.adapters.sqlite.records import OFFSET_BITS, select_records
from perdure.adapters.sqlite.topics import TopicTable, read_topics
from perdure.core.rows import InstanceRow
from perdure.ports.errors import StoreUnavailable, TopicMissing
from perdure.ports.log import Record
from perdure.ports.store import Filter, Page, StoredEvent

__all__ = ["DatabaseReading"]


class DatabaseReading:
    """A database file, opened for reading. Use it with `with`.

    Every call raises StoreUnavailable (no such file, no permission) or DatabaseDamaged, saying what to do.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        if not self.path.is_file():
            raise StoreUnavailable(f"there is no database {self.path}: give the path that the engine was started with")
        try:
            self._connection = connect_read_only(self.path)
            check_identity(self._connection, self.path, may_be_empty=False)
            self._topics = read_topics(self._connection)
        except sqlite3.Error as error:
            raise refusal(error, self.path) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Twice is harmless."""
        self._connection.close()

    def page(self, where: Filter, limit: int, after: str = "") -> Page:
        """As `HistoryStore.list`; ValueError for an `after` that is no page token."""
        with self._reading() as connection:
            return select_page(connection, where, limit, after)

    def row(self, instance_id: str) -> InstanceRow | None:
        """The stored row; a purged instance's is a tombstone; None: never stored."""
        with self._reading() as connection:
            return select_instances(connection, [instance_id]).get(instance_id)

    def events(self, row: InstanceRow) -> list[StoredEvent]:
        """Events of the row's run and generation, in order, with those that are not stored yet (seq > last_seq)."""
        history = self._history()
        if history is None:
            return []
        with self._reading() as connection:
            return select_events(connection, history, row, unstored=True)

    @property
    def namespace(self) -> str:
        """Of the engine that made the file; "" if none did."""
        history = self._history()
        return "" if history is None else history.topic.removesuffix(".history")

    def partitions(self, topic: str) -> int:
        """Raises TopicMissing."""
        return self._table(topic).partitions

    def records(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        """As `Log.fetch`. Raises TopicMissing, too."""
        with self._reading() as connection:
            return select_records(connection, self._table(topic), partition, range(offset, 1 << OFFSET_BITS - 1), limit)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """As `Log.bounds`. Raises TopicMissing, too."""
        table = self._table(topic)
        with self._reading() as connection:
            begins_at, reserved = connection.execute(
                "SELECT begins_at, reserved FROM partitions WHERE topic_id = ? AND partition = ?",
                (table.topic_id, partition),
            ).fetchone()
            return int(begins_at), int(reserved)

    def _table(self, topic: str) -> TopicTable:
        if topic not in self._topics:
            raise TopicMissing(f"there is no topic {topic} in {self.path}: an engine that is started on it makes it")
        return self._topics[topic]

    def _history(self) -> TopicTable | None:
        return next((table for table in self._topics.values() if table.is_history), None)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection
        except sqlite3.Error as error:
            raise refusal(error, self.path) from None
