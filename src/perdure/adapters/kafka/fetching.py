"""Committed records from the answer of a fetch request."""

from __future__ import annotations

from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord, TopicPartition

from perdure.adapters.kafka.connection import FETCH_BYTES_MAX, FETCH_ONE_BYTES, READ_COMMITTED, Connection
from perdure.ports.log import Record

__all__ = ["fetch", "record_of"]


async def fetch(connection: Connection, topic: str, partition: int, offset: int, max_records: int) -> list[Record]:
    """At most max_records from `offset` on; `[]` only at the end.

    An answer may hold nothing but the control records of transactions, or aborted ones: the next answer then begins
    after them, until there is a record or the end is reached.
    """
    found: list[Record] = []
    bytes_max = FETCH_ONE_BYTES if max_records == 1 else FETCH_BYTES_MAX
    while not found:
        try:
            batches, aborted, stable = await connection.fetch(topic, partition, max(offset, 0), bytes_max)
        except OffsetOutOfRangeError:
            start, end = await connection.bounds(topic, partition)
            if offset >= end:
                return []
            offset = max(offset, start)
            continue
        unpacked = PartitionRecords(
            TopicPartition(topic, partition), MemoryRecords(batches), aborted, max(offset, 0), None, None,
            True, READ_COMMITTED,
        )  # fmt: skip
        for record in unpacked:
            found.append(record_of(record))
            if len(found) == max_records:
                break
        if unpacked.next_fetch_offset == offset or unpacked.next_fetch_offset >= stable:
            break
        offset = unpacked.next_fetch_offset
    return found


def record_of(record: ConsumerRecord[bytes, bytes]) -> Record:
    """Keys, values and headers' values that another producer left out are empty, never None."""
    return Record(
        record.topic, record.partition, record.offset, record.key or b"", record.value or b"",
        tuple((name, value or b"") for name, value in record.headers), record.timestamp,
    )  # fmt: skip
