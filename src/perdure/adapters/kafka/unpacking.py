"""Batches that aiokafka cannot unpack: what is read leniently all the same, and what only its own partition waits for.

Law: whatever lies in a partition, the records of the others are handed on, and none is lost. An exception while
unpacking takes with it what aiokafka has drained from other partitions already, and moves them past it; so a consumer's
results never raise (`Results`). They end where they cannot go on, and tell.

Law: leniency is for what the protocol leaves to the producer. The name of a header is bytes on the wire, which a program
in C or Go need not make UTF-8; aiokafka decodes it while it unpacks. Here what is no UTF-8 in a name becomes U+FFFD.
Keys and values are what they were, CRCs are checked, and control records and aborted transactions are passed over as
ever. A batch that is damaged, or in a codec that nobody here knows, stays unreadable and is never passed over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy
from aiokafka.structs import ConsumerRecord, TopicPartition

from perdure.adapters.kafka.errors import reason
from perdure.adapters.kafka.records import Place
from perdure.ports.errors import LogUnavailable

__all__ = ["Results", "Stuck", "unpack"]

READ_COMMITTED = 1

Unpacked = list[ConsumerRecord[bytes, bytes]]
Stuck = Callable[[Place, int, Exception], None]  # is told where a partition cannot be unpacked, and why


def unpack(
    place: Place, batches: bytes, aborted: list[tuple[int, int]], offset: int, records_max: int | None = None
) -> tuple[Unpacked, int]:
    """Committed records from `offset` on, and where to go on. Raises LogUnavailable if not even the first batch can be read.

    What comes before an unreadable batch is returned, without it.
    """
    unpacked = _committed(place, MemoryRecords(batches), aborted, offset)
    try:
        return list(islice(unpacked, records_max)), unpacked.next_fetch_offset
    except Exception:  # noqa: BLE001 - whatever it was, the lenient parser finds out whether it can do better
        unpacked = _committed(place, _LenientRecords(batches), aborted, offset)
    found: Unpacked = []
    try:
        found.extend(islice(unpacked, records_max))
    except Exception as error:
        if unpacked.next_fetch_offset == offset:
            text = f"{place[0]}[{place[1]}] holds a batch at {offset} that cannot be unpacked ({reason(error)})"
            raise LogUnavailable(text) from error
    return found, unpacked.next_fetch_offset


def _committed(place: Place, records: Any, aborted: list[tuple[int, int]], offset: int) -> PartitionRecords:
    return PartitionRecords(TopicPartition(*place), records, aborted, offset, None, None, True, READ_COMMITTED)


class Results(OrderedDict[TopicPartition, Any]):
    """What a consumer's fetcher keeps its answers in. Each ends, and tells, where it would have raised."""

    def __init__(self, stuck: Stuck) -> None:
        super().__init__()
        self._stuck = stuck

    def __setitem__(self, at: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult:
            result._partition_records = _Ending(result._partition_records, (at.topic, at.partition), self._stuck)
        super().__setitem__(at, result)


class _Ending:
    """A partition's records, as FetchResult goes through them."""

    def __init__(self, records: PartitionRecords, place: Place, stuck: Stuck) -> None:
        self._records = records
        self._place = place
        self._stuck = stuck

    @property
    def next_fetch_offset(self) -> int:
        return int(self._records.next_fetch_offset)

    def __iter__(self) -> Iterator[ConsumerRecord[bytes, bytes]]:
        return self

    def __next__(self) -> ConsumerRecord[bytes, bytes]:
        try:
            return next(self._records)
        except StopIteration:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it would be every partition's
            self._stuck(self._place, self.next_fetch_offset, error)
            raise StopIteration from None


class _LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """Older formats (magic below 2) have no headers, and nothing to be lenient about."""

    def next_batch(self) -> Any:
        batch = self._next_slice
        if batch is None or len(batch) < _DefaultRecordBatchPy.HEADER_STRUCT.size or batch[self.MAGIC_OFFSET] < 2:
            return super().next_batch()
        self._cache_next()
        return _LenientBatch(batch)


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _Lenient(self._buffer)


class _Lenient(bytearray):
    """aiokafka copies keys and values out of its slices by `bytes`; what it decodes is the names of headers."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Lenient(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)
