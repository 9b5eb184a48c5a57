"""How records lie in a topic's table: `records_<topic id>`, one row a record.

position   partition << 48 | offset: one integer key, so that a partition's records lie side by side
headers    NULL when there are none, else name and value, each after its length (u16, u32)
"""
# ruff: noqa: S608 - names of tables cannot be parameters; they come from here, never from a user

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from typing import cast

from perdure.adapters.sqlite.statements import execute_rows, select_packed
from perdure.adapters.sqlite.topics import TopicTable
from perdure.ports.log import Headers, Record

__all__ = ["OFFSET_BITS", "delete_rows", "insert_rows", "pack_headers", "select_records"]

OFFSET_BITS = 48
_OFFSET_MASK = (1 << OFFSET_BITS) - 1
_LENGTHS = struct.Struct(">HI")
_Row = tuple[int, int, bytes, bytes, bytes | None]


def insert_rows(connection: sqlite3.Connection, table: TopicTable, flat: Sequence[object]) -> None:
    """Insert rows given one after the other as (position, key, value, headers, timestamp_ms)."""
    execute_rows(connection, f"INSERT INTO {table.name} VALUES {{rows}}", 5, flat)


def select_records(
    connection: sqlite3.Connection, table: TopicTable, partition: int, offsets: range, limit: int
) -> list[Record]:
    base = partition << OFFSET_BITS
    rows = select_packed(
        connection,
        ("position", "timestamp_ms"),
        ("key", "value", "headers"),
        f"SELECT * FROM {table.name} WHERE position >= ? AND position < ? ORDER BY position LIMIT ?",
        (base | offsets.start, base | offsets.stop, limit),
    )
    topic = table.topic
    return [
        Record(topic, partition, position & _OFFSET_MASK, key, value, _unpack_headers(headers), timestamp_ms)
        for position, timestamp_ms, key, value, headers in cast("list[_Row]", rows)
    ]


def delete_rows(connection: sqlite3.Connection, table: TopicTable, partition: int, offset: int) -> None:
    """Delete a partition's rows below the offset. Of a history only the markers: its events are the store."""
    base = partition << OFFSET_BITS
    markers = f"INDEXED BY {table.name}_markers WHERE key = x'' AND" if table.is_history else "WHERE"
    connection.execute(f"DELETE FROM {table.name} {markers} position >= ? AND position < ?", (base, base | offset))


def pack_headers(headers: Headers) -> bytes | None:
    if not headers:
        return None
    parts = []
    for name, value in headers:
        encoded = name.encode()
        parts += [_LENGTHS.pack(len(encoded), len(value)), encoded, value]
    return b"".join(parts)


def _unpack_headers(packed: bytes | None) -> Headers:
    if packed is None:
        return ()
    headers, place = [], 0
    while place < len(packed):
        name_bytes, value_bytes = _LENGTHS.unpack_from(packed, place)
        value_at = place + _LENGTHS.size + name_bytes
        headers.append((packed[place + _LENGTHS.size : value_at].decode(), packed[value_at : value_at + value_bytes]))
        place = value_at + value_bytes
    return tuple(headers)
