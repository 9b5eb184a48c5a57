"""What every adapter refuses before it writes anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perdure.core.limits import RECORD_BYTES_MAX
from perdure.ports.errors import RecordTooLarge, TopicMissing
from perdure.ports.log import Outgoing

__all__ = ["check_records", "topic_missing"]


def check_records(records: Sequence[Outgoing], partition_count: Callable[[str], int]) -> None:
    """Raises RecordTooLarge, or TopicMissing for a topic or a partition that does not exist."""
    counts: dict[str, int] = {}
    for index, record in enumerate(records):
        topic = record.topic
        if topic not in counts:
            counts[topic] = partition_count(topic)
        size = len(record.key) + len(record.value)
        if record.headers:
            size += sum(len(name) + len(value) for name, value in record.headers)
        if size > RECORD_BYTES_MAX:
            raise RecordTooLarge(f"a record of {size:,} bytes for {topic}: at most {RECORD_BYTES_MAX:,}", index=index)
        if not 0 <= record.partition < counts[topic]:
            raise topic_missing(f"{topic}[{record.partition}]")


def topic_missing(topic: str) -> TopicMissing:
    return TopicMissing(f"topic {topic} does not exist: `perdure bootstrap` creates it")
