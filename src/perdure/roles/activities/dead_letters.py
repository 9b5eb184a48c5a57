"""Records that cannot be handled, and the partition that a run names."""

from __future__ import annotations

from perdure.ports.log import Outgoing, Record

__all__ = ["dead_letter", "run_partition"]


def dead_letter(topic: str, partitions: int, record: Record, reason: str) -> Outgoing:
    """The record as it was, with why it is here (`perdure-reason`) and where from (`perdure-origin`)."""
    headers = (
        *record.headers,
        ("perdure-reason", reason[:1_000].encode("utf-8", "replace")),
        ("perdure-origin", f"{record.topic}/{record.partition}/{record.offset}".encode()),
    )
    return Outgoing(topic, record.partition % partitions, record.key, record.value, headers)


def run_partition(run: str, partitions: int) -> int:
    """The partition in "epoch.partition.offset". Raises ValueError if it is no run of this cluster."""
    parts = run.split(".")
    if len(parts) != 3 or not parts[1].isdecimal() or int(parts[1]) >= partitions:
        raise ValueError(f"{run[:64]!r} names no run: epoch.partition.offset, with a partition below {partitions}")
    return int(parts[1])
