"""Topics: each has a table of its own, `records_<topic id>`."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from perdure.ports.log import TopicSpec

__all__ = ["TopicTable", "create_topics", "make_history", "read_topics"]


@dataclass(slots=True, eq=False)
class TopicTable:
    """`is_history`: the history store reads this table, so that its events are not deleted by offset."""

    topic_id: int
    topic: str
    partitions: int
    is_history: bool

    @property
    def name(self) -> str:
        return f"records_{self.topic_id}"


def read_topics(connection: sqlite3.Connection) -> dict[str, TopicTable]:
    rows = connection.execute("SELECT topic_id, name, partitions, is_history FROM topics ORDER BY topic_id")
    return {name: TopicTable(topic_id, name, count, bool(history)) for topic_id, name, count, history in rows}


def create_topics(connection: sqlite3.Connection, specs: Sequence[TopicSpec], history_topic: str) -> list[TopicTable]:
    """Create those that are not there; returns what was created."""
    existing = read_topics(connection)
    return [_create(connection, spec, history_topic) for spec in specs if spec.name not in existing]


def _create(connection: sqlite3.Connection, spec: TopicSpec, history_topic: str) -> TopicTable:
    (topic_id,) = connection.execute(
        "INSERT INTO topics (name, partitions) VALUES (?, ?) RETURNING topic_id", (spec.name, spec.partitions)
    ).fetchone()
    table = TopicTable(topic_id, spec.name, spec.partitions, is_history=False)
    connection.execute(
        f"CREATE TABLE {table.name} (position INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB NOT NULL,"
        " headers BLOB, timestamp_ms INTEGER NOT NULL)"
    )
    connection.executemany(
        "INSERT INTO partitions (topic_id, partition) VALUES (?, ?)",
        [(topic_id, number) for number in range(spec.partitions)],
    )
    if spec.name == history_topic:
        make_history(connection, table)
    return table


def make_history(connection: sqlite3.Connection, table: TopicTable) -> None:
    """Index events by instance, for the history store, and markers (empty key), which go by offset."""
    connection.execute("UPDATE topics SET is_history = 1 WHERE topic_id = ?", (table.topic_id,))
    connection.execute(f"CREATE INDEX IF NOT EXISTS {table.name}_events ON {table.name} (key) WHERE key <> x''")
    connection.execute(f"CREATE INDEX IF NOT EXISTS {table.name}_markers ON {table.name} (position) WHERE key = x''")
    table.is_history = True
