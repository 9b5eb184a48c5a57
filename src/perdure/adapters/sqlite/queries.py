"""SELECTs of the history store, for its owner and for whoever reads beside it."""
# ruff: noqa: S608 - names of tables and question marks only; what users give is a parameter

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import cast

from perdure.adapters.memory.paging import page_token, place_of
from perdure.adapters.sqlite.places import event_place
from perdure.adapters.sqlite.statements import select_packed
from perdure.adapters.sqlite.topics import TopicTable
from perdure.codec.avro import decode
from perdure.core.rows import InstanceRow
from perdure.ports.store import Filter, Page, StoredEvent

__all__ = ["IDS_PER_QUERY", "marks", "select_events", "select_instances", "select_page", "select_rows"]

IDS_PER_QUERY = 250


def select_rows(connection: sqlite3.Connection, source: str, parameters: Sequence[object]) -> list[InstanceRow]:
    """`source` selects the column `row` of instances."""
    return [decode(cast("bytes", row)) for (row,) in select_packed(connection, (), ("row",), source, parameters)]


def select_instances(connection: sqlite3.Connection, instance_ids: Sequence[str]) -> dict[str, InstanceRow]:
    """In the order asked for."""
    found: dict[str, InstanceRow] = {}
    for start in range(0, len(instance_ids), IDS_PER_QUERY):
        ids = instance_ids[start : start + IDS_PER_QUERY]
        rows = select_rows(connection, f"SELECT row FROM instances WHERE instance_id IN ({marks(len(ids))})", ids)
        found.update({row.instance_id: row for row in rows})
    return {instance_id: found[instance_id] for instance_id in instance_ids if instance_id in found}


def select_events(
    connection: sqlite3.Connection, history: TopicTable, row: InstanceRow, *, unstored: bool = False
) -> list[StoredEvent]:
    """The events of the row's run and generation in order: those stored, or with what the log has beyond."""
    if row.status == "PURGED":
        return []
    values = select_packed(
        connection,
        (),
        ("value",),
        f"SELECT value FROM {history.name} WHERE key = ? AND key <> x'' ORDER BY position LIMIT -1",
        (row.instance_id.encode(),),
    )
    events = []
    for (value,) in cast("list[tuple[bytes]]", values):
        run, generation, seq = event_place(value)
        if run == row.run and generation == row.generation and (unstored or seq <= row.last_seq):
            events.append(StoredEvent(seq, value))
    return events


def select_page(connection: sqlite3.Connection, where: Filter, limit: int, after: str) -> Page:
    """Raises ValueError if `after` is no page token."""
    conditions = ["status <> 'PURGED'", "created_at >= ?"]
    parameters: list[object] = [where.created_from_us]
    if where.created_to_us:
        conditions.append("created_at < ?")
        parameters.append(where.created_to_us)
    for column, wanted in (("name", where.names), ("status", where.statuses)):
        if wanted:
            conditions.append(f"{column} IN ({marks(len(wanted))})")
            parameters += wanted
    if where.id_prefix:
        conditions.append("instance_id >= ? AND instance_id < ?")
        parameters += (where.id_prefix, where.id_prefix + "\U0010ffff")
    if after:
        created_at_us, instance_id = place_of(after)
        conditions.append("created_at <= ? AND (created_at < ? OR instance_id > ?)")
        parameters += (created_at_us, created_at_us, instance_id)
    parameters.append(limit + 1)
    rows = select_rows(
        connection,
        f"SELECT row FROM instances WHERE {' AND '.join(conditions)} ORDER BY created_at DESC, instance_id LIMIT ?",
        parameters,
    )
    more, rows = len(rows) > limit, rows[:limit]
    return Page(rows, page_token(rows[-1].created_at_us, rows[-1].instance_id) if more and rows else "")


def marks(count: int) -> str:
    return ",".join("?" * count)
