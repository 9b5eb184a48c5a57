"""The end of a partition in memory, so that readers who keep up never touch SQL.

`records` holds every record from `first` on; below it the table has them, but for the volatile ones, which have no
row and are kept here until a group has committed past them or they are deleted. What all readers have passed is
dropped; what nobody reads is bounded, in number and bytes. Of a history nothing is kept: only `fetch` reads it.

A partition's volatile records are bounded too: when there are too many, the mark is ignored and they get rows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from operator import attrgetter
from typing import TYPE_CHECKING

from perdure.adapters.memory.source import Source
from perdure.adapters.sqlite.ledger import Ledger
from perdure.adapters.sqlite.records import select_records
from perdure.ports.log import Record

if TYPE_CHECKING:
    from perdure.adapters.sqlite.database import Database

__all__ = ["Tail"]

RECORDS_MAX = 20_000
BYTES_MAX = 32 * 1024 * 1024
VOLATILE_MAX = 10_000
_DROP_AT_ONCE = 256  # moving the rest of a list down has its price: drop many at a time, or all

_offset = attrgetter("offset")


class Tail(Source):
    """`last_request` is the number of the last write request that touches the partition."""

    def __init__(self, database: Database, ledger: Ledger, start: int) -> None:
        super().__init__(ledger.table.topic, ledger.partition, start, ledger.next)
        self.ledger = ledger
        self.last_request = 0
        self._database = database
        self._first = self.end
        self._records: list[Record] = []
        self._bytes = 0
        self._volatile: OrderedDict[int, Record] = OrderedDict()

    def publish(self, records: list[Record], volatile: list[Record], end: int) -> None:
        """The write thread has committed up to `end`; these are the records (none of a history)."""
        self.end = end
        if self.ledger.table.is_history:
            self._first = end
        else:
            self._records += records
            self._bytes += sum([len(record.value) for record in records])
            for record in volatile:
                self._volatile[record.offset] = record
            self.ledger.volatile_full = len(self._volatile) >= VOLATILE_MAX
            if len(self._records) > RECORDS_MAX or self._bytes > BYTES_MAX:
                self._shrink()
        self.notify()

    def ready(self, offset: int, max_records: int) -> tuple[list[Record], int] | None:
        if offset < self._first:
            return None
        records = self._records
        place = bisect_left(records, offset, key=_offset)
        found = records[place : place + max_records]
        after = place + len(found)
        return found, records[after].offset if after < len(records) else self.end

    async def load(self, offset: int, max_records: int) -> tuple[list[Record], int]:
        table, partition, first = self.ledger.table, self.partition, self._first
        found = await self._database.read(
            lambda connection: select_records(connection, table, partition, range(offset, first), max_records)
        )
        kept = [record for record in self._volatile.values() if offset <= record.offset < first]
        if kept:
            found = sorted(found + kept, key=_offset)
        found = found[:max_records]
        return found, found[-1].offset + 1 if len(found) == max_records else first

    def consumed(self) -> None:
        if not self._records:
            return
        passed = min(watcher.position for watcher in self.watchers)
        if passed > self._records[-1].offset:
            self._drop(len(self._records))
        else:
            place = bisect_left(self._records, passed, key=_offset)
            if place >= _DROP_AT_ONCE:
                self._drop(place)

    def release(self, offset: int) -> None:
        """Nobody comes back to volatile records below this offset."""
        volatile = self._volatile
        while volatile and next(iter(volatile)) < offset:
            volatile.popitem(last=False)
        self.ledger.volatile_full = len(volatile) >= VOLATILE_MAX

    def delete_before(self, offset: int) -> None:
        """The rows are gone from the table."""
        self.start = max(self.start, offset)
        self.release(self.start)
        self._drop(bisect_left(self._records, self.start, key=_offset))

    def _shrink(self) -> None:
        """Nobody reads as fast as they come: leave the older half to SQL."""
        count, size = len(self._records) // 2, self._bytes
        for place, record in enumerate(self._records):
            if place >= count and size <= BYTES_MAX // 2:
                count = place
                break
            size -= len(record.value)
        else:
            count = len(self._records)
        self._drop(count)

    def _drop(self, count: int) -> None:
        if count:
            self._bytes -= sum([len(record.value) for record in self._records[:count]])
            del self._records[:count]
            self._first = self._records[0].offset if self._records else self.end
