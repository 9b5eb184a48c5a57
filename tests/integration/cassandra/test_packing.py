"""Rows of history, without a Cassandra."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.adapters.cassandra.packing import ROW_BYTES_MAX, packed, unpacked
from perdure.ports.store import StoredEvent


def as_read(rows):
    return [(first, codec, blob, 1) for first, _, codec, blob in rows]


@given(st.lists(st.integers(0, ROW_BYTES_MAX // 2), max_size=12), st.integers(1, 9000), st.integers(0, 12))
def test_events_come_back_as_they_were_packed_up_to_the_last(sizes: list[int], first: int, shown: int) -> None:
    events = [StoredEvent(first + place, bytes([place]) * size) for place, size in enumerate(sizes)]
    rows = packed(events)
    assert all(n == 1 or len(blob) <= ROW_BYTES_MAX + 4 * n for _, n, _, blob in rows)
    assert unpacked(as_read(rows), first + shown - 1) == events[:shown]


@given(st.lists(st.integers(0, ROW_BYTES_MAX // 2), min_size=1, max_size=12), st.integers(1, 12))
def test_rows_of_more_events_replace_those_of_fewer(sizes: list[int], fewer: int) -> None:
    events = [StoredEvent(1 + place, b"x" * size) for place, size in enumerate(sizes)]
    early, late = packed(events[:fewer]), packed(events)
    table = {row[0]: row for row in early} | {row[0]: row for row in late}
    assert list(table.values()) == late


def test_a_gap_begins_a_new_row() -> None:
    events = [StoredEvent(1, b"a"), StoredEvent(2, b"b"), StoredEvent(5, b"c")]
    assert [(first, n) for first, n, *_ in packed(events)] == [(1, 2), (5, 1)]


def test_a_codec_of_a_newer_version_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="codec 9"):
        unpacked([(1, 9, b"", 1)], 1)


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=5), st.data())
def test_a_row_that_was_cut_off_is_noticed(values: list[bytes], data: st.DataObject) -> None:
    [(first, _, codec, blob)] = packed([StoredEvent(1 + place, value) for place, value in enumerate(values)])
    left = data.draw(st.integers(0, len(blob) - 1))
    try:
        found = unpacked([(first, codec, blob[:left], 1)], len(values))
    except ValueError as error:
        assert "cut off" in str(error)
    else:
        assert len(found) < len(values)  # between two events: then one is missing
