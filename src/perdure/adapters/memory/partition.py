"""One partition in memory. Offsets skip one number after each transaction, as Kafka's commit markers do:
code that counts on offsets without gaps fails here first.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter

from perdure.adapters.memory.source import Source
from perdure.ports.log import Outgoing, Record

__all__ = ["MemoryPartition"]

_offset = attrgetter("offset")


class MemoryPartition(Source):
    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(topic, partition)
        self._records: list[Record] = []

    def add(self, outgoing: Outgoing, timestamp_ms: int) -> int:
        """Append without telling readers (`notify` does, when the whole write is in); returns the offset."""
        offset = self.end
        self._records.append(
            Record(
                self.topic,
                self.partition,
                offset,
                outgoing.key,
                outgoing.value,
                outgoing.headers,
                timestamp_ms,
            )
        )
        self.end = offset + 1
        return offset

    def end_transaction(self) -> None:
        self.end += 1

    def ready(self, offset: int, max_records: int) -> tuple[list[Record], int]:
        first = bisect_left(self._records, offset, key=_offset)
        found = self._records[first : first + max_records]
        after = first + len(found)
        return found, self._records[after].offset if after < len(self._records) else self.end

    async def load(self, offset: int, max_records: int) -> tuple[list[Record], int]:
        return self.ready(offset, max_records)

    def delete_before(self, offset: int) -> None:
        offset = min(offset, self.end)
        if offset > self.start:
            self.start = offset
            del self._records[: bisect_left(self._records, offset, key=_offset)]
