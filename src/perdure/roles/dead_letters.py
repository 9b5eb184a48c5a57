"""Records that cannot be handled, and the partition that a run names."""

from __future__ import annotations

from perdure.core.clipping import clipped
from perdure.core.headers import ORIGIN, REASON, TRUNCATED
from perdure.core.limits import REASON_CHARS_MAX, RECORD_BYTES_MAX
from perdure.ports.log import Outgoing, Record

__all__ = ["HEADER_ROOM", "dead_letter", "record_bytes", "run_partition"]

HEADER_ROOM = 4 * REASON_CHARS_MAX + 1_024  # what our headers may add to a record


def dead_letter(topic: str, partitions: int, record: Record, reason: str) -> Outgoing:
    """The record as it was, with why it is here (`perdure-reason`) and where from (`perdure-origin`).

    One that would not fit with these is cut, and says so (`perdure-truncated-bytes`: how long it was).
    """
    origin = f"{record.topic}/{record.partition}/{record.offset}".encode()
    ours = ((REASON, clipped(reason, REASON_CHARS_MAX).encode()), (ORIGIN, origin))
    partition, size = record.partition % partitions, record_bytes(record)
    if size + HEADER_ROOM <= RECORD_BYTES_MAX:
        return Outgoing(topic, partition, record.key, record.value, (*record.headers, *ours))
    cut = (TRUNCATED, str(size).encode())
    return Outgoing(topic, partition, record.key[:1_024], record.value[: RECORD_BYTES_MAX // 2], (*ours, cut))


def record_bytes(record: Record) -> int:
    """About what it takes in a log."""
    headers = sum(len(name) * 4 + len(value) + 16 for name, value in record.headers)
    return len(record.key) + len(record.value) + headers


def run_partition(run: str, partitions: int) -> int:
    """The partition in "epoch.partition.offset". Raises ValueError if it is no run of this cluster."""
    parts = run.split(".")
    if len(parts) != 3 or not parts[1].isdecimal() or int(parts[1]) >= partitions:
        raise ValueError(f"{run[:64]!r} names no run: epoch.partition.offset, with a partition below {partitions}")
    return int(parts[1])
