"""Many rows in one step, and the place of an event in its first bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import typing
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.adapters.sqlite.places import event_place, run_order
from perdure.adapters.sqlite.records import _unpack_headers, pack_headers
from perdure.adapters.sqlite.statements import execute_rows, select_packed
from perdure.codec.avro import encode
from perdure.core.events import Event

BLOBS = st.one_of(st.none(), st.binary(max_size=8), st.just(b"\x00\x00"), st.text(max_size=5))
ROWS = st.lists(st.tuples(st.integers(-(2**62), 2**62), BLOBS, BLOBS), max_size=30)


def as_bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize("length_max", [1_000_000, 64])
@given(rows=ROWS)
def test_rows_read_in_one_step_are_the_rows(length_max: int, rows: list[tuple]) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (place INTEGER PRIMARY KEY, number, first, second)")
        flat = [value for place, row in enumerate(rows) for value in (place, *row)]
        execute_rows(connection, "INSERT INTO t VALUES {rows}", 4, flat)
        plain = connection.execute("SELECT place, number, first, second FROM t ORDER BY place").fetchall()
        assert plain == [(place, *row) for place, row in enumerate(rows)]
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, length_max)
        packed = select_packed(
            connection, ("place", "number"), ("first", "second"), "SELECT * FROM t ORDER BY place LIMIT -1", ()
        )
        assert packed == [(place, number, as_bytes(one), as_bytes(two)) for place, number, one, two in plain]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 255, 256, 257, 700])
def test_every_row_is_written_once(count: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a, b)")
    execute_rows(connection, "INSERT INTO t VALUES {rows}", 2, [value for n in range(count) for value in (n, -n)])
    assert connection.execute("SELECT * FROM t ORDER BY a").fetchall() == [(n, -n) for n in range(count)]
    connection.close()


@pytest.mark.parametrize("kind", typing.get_args(Event))
def test_every_event_begins_with_its_place(kind: type) -> None:
    values = {"run": "12.3.4567890", "generation": 70_000, "seq": 2**40}
    types = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            values.setdefault(field.name, types[field.name]())
    assert event_place(encode(kind(**values))) == ("12.3.4567890", 70_000, 2**40)


def test_a_later_run_orders_higher_whatever_its_digits() -> None:
    runs = ["0.0.9", "0.2.10", "0.0.100", "1.0.5", "10.0.1"]
    assert all(run_order(one) < run_order(other) for one, other in pairwise(runs))
    assert run_order("not-a-run") is None


@given(st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=300)), min_size=1, max_size=5))
def test_headers_come_back_as_they_were(headers: list[tuple[str, bytes]]) -> None:
    assert _unpack_headers(pack_headers(tuple(headers))) == tuple(headers)
