"""What the history store deletes from the log's table: events that a stored row has ended.

`delete_before` leaves a history's events alone, so this is their only end: events of an earlier generation or run go
when the row of a later one comes, events of a purged run with its tombstone. The law: "earlier" is told by run and
generation, never by offset, because the log may already hold a later run of which no row was given yet.
"""
# ruff: noqa: S608 - names of tables and question marks only; what users give is a parameter

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple, cast

from perdure.adapters.sqlite.places import event_place, run_order
from perdure.adapters.sqlite.queries import IDS_PER_QUERY, marks
from perdure.adapters.sqlite.statements import execute_rows, select_packed
from perdure.adapters.sqlite.topics import TopicTable

__all__ = ["End", "delete_superseded"]


class End(NamedTuple):
    """What a row says of the events before it."""

    instance_id: str
    run: str
    generation: int
    status: str


def delete_superseded(connection: sqlite3.Connection, history: TopicTable, ends: Sequence[End]) -> None:
    """To be called before the rows are written: the stored ones tell which of these begin anew."""
    stored = _stored_generations(connection, [end.instance_id for end in ends])
    for end in ends:
        known = stored.get(end.instance_id)
        begun_anew = end.generation > 0 if known is None else known != (end.run, end.generation)
        if begun_anew or end.status == "PURGED":
            _delete_earlier(connection, history, end)


def _stored_generations(connection: sqlite3.Connection, instance_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
    stored = {}
    for start in range(0, len(instance_ids), IDS_PER_QUERY):
        ids = instance_ids[start : start + IDS_PER_QUERY]
        rows = select_packed(
            connection,
            ("generation",),
            ("instance_id", "run"),
            f"SELECT generation, instance_id, run FROM instances WHERE instance_id IN ({marks(len(ids))})",
            ids,
        )
        for generation, instance_id, run in cast("list[tuple[int, bytes, bytes]]", rows):
            stored[instance_id.decode()] = run.decode(), generation
    return stored


def _delete_earlier(connection: sqlite3.Connection, history: TopicTable, end: End) -> None:
    rows = select_packed(
        connection,
        ("position",),
        ("value",),
        f"SELECT position, value FROM {history.name} WHERE key = ? AND key <> x''",
        (end.instance_id.encode(),),
    )
    gone = [position for position, value in cast("list[tuple[int, bytes]]", rows) if _is_earlier(value, end)]
    execute_rows(connection, f"DELETE FROM {history.name} WHERE position IN (VALUES {{rows}})", 1, gone)


def _is_earlier(event: bytes, end: End) -> bool:
    run, generation, _ = event_place(event)
    if run == end.run:
        return end.status == "PURGED" or generation < end.generation
    order, end_order = run_order(run), run_order(end.run)
    return order is not None and end_order is not None and order < end_order
