"""Committed records from the answer of a fetch request."""

from __future__ import annotations

from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from perdure.adapters.kafka.connection import FETCH_BYTES_MAX, FETCH_ONE_BYTES, Connection
from perdure.adapters.kafka.records import Place
from perdure.adapters.kafka.unpacking import unpack
from perdure.ports.errors import OffsetOutOfRange
from perdure.ports.log import Record

__all__ = ["fetch", "fetch_stuck", "record_of"]


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
        records, beyond = unpack((topic, partition), batches, aborted, max(offset, 0), max_records)
        found = [record_of(record) for record in records]
        if beyond == offset or beyond >= stable:
            break
        offset = beyond
    return found


async def fetch_stuck(connection: Connection, place: Place, offset: int) -> tuple[list[Record], int]:
    """The batch at `offset`, which a consumer could not unpack, and where to go on.

    Raises OffsetOutOfRange, and LogUnavailable also as long as nobody can unpack it.
    """
    try:
        batches, aborted, _ = await connection.fetch(*place, offset, FETCH_ONE_BYTES)  # a larger one comes whole
    except OffsetOutOfRangeError as error:
        raise OffsetOutOfRange(f"{place[0]}[{place[1]}] does not have position {offset}") from error
    records, beyond = unpack(place, batches, aborted, offset)
    return [record_of(record) for record in records], beyond


def record_of(record: ConsumerRecord[bytes, bytes]) -> Record:
    """Keys, values and headers' values that another producer left out are empty, never None."""
    return Record(
        record.topic, record.partition, record.offset, record.key or b"", record.value or b"",
        tuple((name, value or b"") for name, value in record.headers), record.timestamp,
    )  # fmt: skip
