"""Many rows in one step.

The law: statements that run beside the event loop take one step, not one a row. The sqlite3 module gives the GIL away
at every step of a statement and queues up for it again; beside a busy thread that queue made `executemany` take
2,000 µs a row where one statement of 256 rows takes 90, and reading 1,000 rows take 15 s where one aggregate takes
6 ms. (Rejected: SQL on the event loop, where a slow disk would stop everything.)
"""
# ruff: noqa: S608 - it composes statements of its callers, who give what users gave as parameters

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["execute_rows", "select_packed"]

_ROWS_PER_STATEMENT = (256, 64, 16, 4, 1)  # few sizes, so that prepared statements are found again

Packed = tuple[int | bytes | None, ...]


def execute_rows(connection: sqlite3.Connection, sql: str, columns: int, flat: Sequence[object]) -> None:
    """Run `sql` with its `{rows}` replaced by row values `(?,…),(?,…)`, for values given one row after the other."""
    place, rows = 0, len(flat) // columns
    for size in _ROWS_PER_STATEMENT:
        while rows >= size:
            connection.execute(_with_rows(sql, columns, size), flat[place : place + size * columns])
            place += size * columns
            rows -= size


@lru_cache(maxsize=1024)
def _with_rows(sql: str, columns: int, rows: int) -> str:
    row = "(" + ",".join("?" * columns) + ")"
    return sql.replace("{rows}", ",".join([row] * rows))


def select_packed(
    connection: sqlite3.Connection,
    numbers: Sequence[str],
    blobs: Sequence[str],
    source: str,
    parameters: Sequence[object],
) -> list[Packed]:
    """The rows of `source` (a SELECT with these columns, ordered and limited), numbers first, then blobs.

    Numbers must not be NULL; text columns come as UTF-8. One aggregate glues all rows together: their numbers and
    lengths as text, their blobs as one.
    """
    try:
        places, glued = connection.execute(_aggregate(tuple(numbers), tuple(blobs), source), parameters).fetchone()
    except sqlite3.DataError:  # longer than SQLite lets one value be: step by step, then
        columns = (*numbers, *(f"CAST({blob} AS BLOB)" for blob in blobs))
        return connection.execute(f"SELECT {','.join(columns)} FROM ({source})", parameters).fetchall()
    return [] if places is None else _unpacked(places, glued, len(numbers))


@lru_cache(maxsize=1024)
def _aggregate(numbers: tuple[str, ...], blobs: tuple[str, ...], source: str) -> str:
    lengths = (f"ifnull(length(CAST({blob} AS BLOB)), -1)" for blob in blobs)
    places = "||','||".join((*numbers, *lengths))
    glued = "||".join(f"ifnull({blob}, x'')" for blob in blobs)
    return f"SELECT group_concat({places}, ';'), CAST(group_concat({glued}, '') AS BLOB) FROM ({source})"


def _unpacked(places: str, glued: bytes, numbers: int) -> list[Packed]:
    rows: list[Packed] = []
    at = 0
    for place in places.split(";"):
        row: list[int | bytes | None] = [*map(int, place.split(","))]
        for column in range(numbers, len(row)):
            length = row[column]
            if length == -1:
                row[column] = None
            else:
                row[column] = glued[at : at + length]  # type: ignore[operator]
                at += length  # type: ignore[operator]
        rows.append(tuple(row))
    return rows
