"""What is read from the file when it is opened, in the write thread."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from perdure.adapters.sqlite.connection import connect, refusal
from perdure.adapters.sqlite.ledger import Ledger
from perdure.adapters.sqlite.topics import TopicTable, read_topics
from perdure.ports.log import Committed

__all__ = ["Contents", "open_file"]


@dataclass(slots=True)
class Contents:
    """`partitions`: each with its ledger and where it begins."""

    namespace: str
    topics: dict[str, TopicTable]
    partitions: list[tuple[Ledger, int]]
    positions: dict[tuple[str, str, int], Committed]


def open_file(path: Path) -> tuple[sqlite3.Connection, Contents]:
    """Raises DatabaseDamaged, or StoreUnavailable for a file that cannot be used."""
    try:
        connection = connect(path)
        try:
            return connection, _read_contents(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise refusal(error, path) from None


def _read_contents(connection: sqlite3.Connection) -> Contents:
    topics = read_topics(connection)
    by_id = {table.topic_id: table for table in topics.values()}
    partitions = connection.execute("SELECT topic_id, partition, reserved, begins_at FROM partitions")
    positions = connection.execute("SELECT member_group, topic, partition, next_offset, metadata FROM positions")
    namespace = connection.execute("SELECT value FROM meta WHERE name = 'namespace'").fetchone()
    return Contents(
        namespace=namespace[0] if namespace else "",
        topics=topics,
        partitions=[
            (Ledger(by_id[topic_id], partition, reserved), begins_at)
            for topic_id, partition, reserved, begins_at in partitions
        ],
        positions={(group, topic, number): Committed(at, note) for group, topic, number, at, note in positions},
    )
