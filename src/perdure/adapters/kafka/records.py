"""Records on their way to Kafka: what is refused before anything is written, and packing into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from perdure.adapters.kafka.errors import topic_missing
from perdure.core.limits import RECORD_BYTES_MAX
from perdure.ports.errors import RecordTooLarge
from perdure.ports.log import Outgoing

__all__ = ["Batch", "Place", "check_records", "pack"]

Place = tuple[str, int]  # a topic and a number of a partition of it


class Batch(Protocol):
    """aiokafka's BatchBuilder, as far as it is used. `append` returns None if the batch is full."""

    def append(
        self, *, timestamp: int | None, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> object | None: ...


def check_records(records: Sequence[Outgoing], counts: Mapping[str, int]) -> None:
    """Raises RecordTooLarge, or TopicMissing for a partition that does not exist. `counts`: partitions by topic."""
    for index, record in enumerate(records):
        size = len(record.key) + len(record.value)
        if record.headers:
            size += sum(len(name) + len(value) for name, value in record.headers)
        if size > RECORD_BYTES_MAX:
            text = f"a record of {size:,} bytes for {record.topic}: at most {RECORD_BYTES_MAX:,}"
            raise RecordTooLarge(text, index=index)
        if not 0 <= record.partition < counts[record.topic]:
            raise topic_missing(f"{record.topic}[{record.partition}]")


def pack(records: Iterable[Outgoing], new_batch: Callable[[], Batch]) -> dict[Place, list[Batch]]:
    """The records in batches by partition, in the given order. A record larger than a batch gets one of its own."""
    packed: dict[Place, list[Batch]] = {}
    for record in records:
        batches = packed.setdefault((record.topic, record.partition), [])
        if not batches or not _fits(batches[-1], record):
            batches.append(new_batch())
            _fits(batches[-1], record)  # an empty batch takes a record of any size
    return packed


def _fits(batch: Batch, record: Outgoing) -> bool:
    done = batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    return done is not None
