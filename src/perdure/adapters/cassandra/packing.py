"""Events of a turn ⇄ rows of the table history.

The law: what an event is, the row that was written last says. While a log lives, rows that overlap agree, since all come
from it; and a row that begins at the same event and is written later holds at least what the earlier one held, because
an append at a position covers all events below it, and rows are filled greedily from the first event on: so it may replace
it. When the log is lost, an append that it cut short may have left rows of events beyond `last_seq`. Nobody clears them
away, and the instance goes on from there with other events. These are written at a higher epoch, so later, and a row of
`instances` speaks of an event only when it is written: whatever is stale lies beyond `last_seq` or below later rows. Nor is
anything lost that they replace: they begin beyond the `last_seq` of that time, and so replace what is stale.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from perdure.ports.store import StoredEvent

__all__ = ["CHUNK_EVENTS", "Packed", "chunks", "packed", "unpacked"]

Packed = tuple[int, int, bytes | None, int | None]
"""A row as it is read: its first seq, codec, blob, and when that was written. The columns of the query get_history."""

CHUNK_EVENTS = 4096
"""Sequence numbers of a partition: a long history stays in partitions of some megabytes."""

ROW_BYTES_MAX = 64 * 1024
"""Of a row with more than one event."""

PLAIN = 1
"""The codec: for each event its length (four bytes, big-endian) and its record."""

_LENGTH = struct.Struct(">I")


def chunks(last_seq: int) -> range:
    """All chunks that hold events up to last_seq."""
    return range(max(last_seq, 0) // CHUNK_EVENTS + 1)


def packed(events: Sequence[StoredEvent]) -> list[tuple[int, int, int, bytes]]:
    """Rows (first seq, n, codec, blob). A gap in the sequence begins a new row."""
    rows: list[tuple[int, int, int, bytes]] = []
    parts: list[bytes] = []
    first = size = 0
    for event in events:
        if parts and (event.seq != first + len(parts) // 2 or size + len(event.value) > ROW_BYTES_MAX):
            rows.append((first, len(parts) // 2, PLAIN, b"".join(parts)))
            parts, size = [], 0
        if not parts:
            first = event.seq
        parts += (_LENGTH.pack(len(event.value)), event.value)
        size += len(event.value)
    if parts:
        rows.append((first, len(parts) // 2, PLAIN, b"".join(parts)))
    return rows


def unpacked(rows: Iterable[Packed], last_seq: int) -> list[StoredEvent]:
    """Events up to last_seq in order. Raises ValueError, saying what is wrong."""
    found: dict[int, bytes] = {}
    for seq, codec, blob, _ in sorted(rows, key=_written_at):
        if codec != PLAIN:
            raise ValueError(
                f"the row of event {seq} was written with codec {codec} by a newer Perdure: upgrade this one"
            )
        if blob is None:
            continue  # its cell is gone: a gap
        place = 0
        while place < len(blob) and seq <= last_seq:
            length = int.from_bytes(blob[place : place + _LENGTH.size], "big")
            place += _LENGTH.size
            if place + length > len(blob):
                raise ValueError(f"the row of event {seq} is cut off or overwritten")
            found[seq] = blob[place : place + length]
            place += length
            seq += 1  # noqa: PLW2901 - the row names its first
    return [StoredEvent(seq, found[seq]) for seq in sorted(found)]


def _written_at(row: Packed) -> int:
    return row[3] or 0  # a cell that is gone has no time
