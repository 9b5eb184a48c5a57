"""What one COMMIT writes: the requests of many callers, each of them whole.

A request checks everything before it adds anything, so that its own failure leaves nothing behind; what fails later
(a full disk) fails all requests of the transaction alike.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perdure.adapters.sqlite.ledger import BLOCK, Ledger
from perdure.adapters.sqlite.records import insert_rows, pack_headers
from perdure.adapters.sqlite.topics import TopicTable
from perdure.ports.log import Outgoing, Record

__all__ = ["Publication", "Step", "Transaction"]

Step = Callable[[sqlite3.Connection], object]


@dataclass(slots=True)
class Publication:
    """What readers of one partition see when the transaction is written."""

    before: tuple[int, int]
    records: list[Record] = field(default_factory=list)
    volatile: list[Record] = field(default_factory=list)  # those of `records` that have no row
    end: int = 0


class Transaction:
    def __init__(self, ledgers: dict[tuple[str, int], Ledger], timestamp_ms: int) -> None:
        self.published: dict[Ledger, Publication] = {}
        self._ledgers = ledgers
        self._timestamp_ms = timestamp_ms
        self._rows: dict[TopicTable, list[object]] = {}
        self._reservations: dict[Ledger, None] = {}
        self._steps: list[Step] = []

    def add(self, records: Sequence[Outgoing]) -> int:
        """Give the records their offsets; returns the last one's."""
        offset = -1
        timestamp_ms = self._timestamp_ms
        for record in records:
            ledger = self._ledgers[record.topic, record.partition]
            publication = self.published.get(ledger)
            if publication is None:
                publication = self.published[ledger] = Publication((ledger.next, ledger.reserved))
            offset = ledger.next
            ledger.next = publication.end = offset + 1
            if offset >= ledger.reserved:
                ledger.reserved = offset + BLOCK
                self._reservations[ledger] = None
            table = ledger.table
            seen = None
            if not table.is_history:
                seen = Record(
                    record.topic, record.partition, offset, record.key, record.value, record.headers, timestamp_ms
                )
                publication.records.append(seen)
            if seen is not None and record.volatile and not ledger.volatile_full:
                publication.volatile.append(seen)
            else:
                rows = self._rows.get(table)
                if rows is None:
                    rows = self._rows[table] = []
                headers = pack_headers(record.headers) if record.headers else None
                rows += (ledger.base | offset, record.key, record.value, headers, timestamp_ms)
        return offset

    def then(self, step: Step) -> None:
        """Do this in the transaction, after its records are in and earlier steps are done."""
        self._steps.append(step)

    @property
    def durable(self) -> bool:
        """Whether there is anything to write: volatile records alone need no disk."""
        return bool(self._rows or self._steps or self._reservations)

    def write(self, connection: sqlite3.Connection) -> None:
        for table, flat in self._rows.items():
            insert_rows(connection, table, flat)
        for ledger in self._reservations:
            connection.execute(
                "UPDATE partitions SET reserved = ? WHERE topic_id = ? AND partition = ?",
                (ledger.reserved, ledger.table.topic_id, ledger.partition),
            )
        for step in self._steps:
            step(connection)

    def undo(self) -> None:
        """It was not written: nobody has seen its offsets."""
        for ledger, publication in self.published.items():
            ledger.next, ledger.reserved = publication.before
        self.published.clear()
