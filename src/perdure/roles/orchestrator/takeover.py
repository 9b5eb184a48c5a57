"""From the log to a partition that can be served.

Order, and why: open the writer first (it fences the predecessor and settles its last transaction, so that nothing more
can appear behind our back), then read history's tail from the last position known to be stored to its end. The last
marker there is the one resume point: next offset, offsets below it still undecided, and who wrote it.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, field

import structlog

from perdure.codec.avro import DecodeError, decode
from perdure.codec.schemas import MAGIC
from perdure.core.errors import PerdureError
from perdure.core.events import BatchCommitted, Event
from perdure.core.limits import DERIVED_ID_BYTES_MAX
from perdure.core.names import Topics
from perdure.ports.log import Log, Record
from perdure.ports.store import HistoryStore

__all__ = ["ResumePoint", "ResumePointMissing", "find_resume_point"]

logger = structlog.get_logger("perdure.orchestrator")
FETCH = 5_000
EVENTS = frozenset(typing.get_args(Event))


class ResumePointMissing(PerdureError):
    """The log has a past and no marker that says where to go on: an operator has to look. Never "earliest"."""


@dataclass(slots=True)
class ResumePoint:
    """Where a new owner goes on."""

    marker: BatchCommitted
    marker_offset: int  # -1: the partition has never been served
    tail: dict[str, list[Event]] = field(default_factory=dict)  # events after what is stored, by instance
    damages: dict[str, str] = field(default_factory=dict)  # what of it cannot be read, by instance


async def find_resume_point(
    log: Log, store: HistoryStore, topics: Topics, partition: int, epoch: int, stored_to: int
) -> ResumePoint:
    """Read the tail. Raises ResumePointMissing."""
    start, end = await log.bounds(topics.history, partition)
    if end < stored_to:
        raise ResumePointMissing(
            f"{topics.history}[{partition}] ends at {end}, the store has it up to {stored_to}: the topic was recreated "
            "or restored. Raise the topic epoch (PERDURE_EPOCH) once you are sure of what to keep"
        )
    point = ResumePoint(BatchCommitted(epoch, 0), -1)
    offset = max(stored_to, start)
    while records := await log.fetch(topics.history, partition, offset, FETCH):
        for record in records:
            _take(point, record)
        offset = records[-1].offset + 1
    if point.marker_offset < 0 and not point.tail:
        await _resume_from_store(point, store, partition, epoch, (start, end), stored_to)
    if point.marker.epoch > epoch:
        raise ResumePointMissing(
            f"{topics.history}[{partition}] is at topic epoch {point.marker.epoch}, this service is set to {epoch}: set "
            "PERDURE_EPOCH to what the others have"
        )
    instances_start, _ = await log.bounds(topics.instances, partition)
    if point.marker_offset < 0 and (end > 0 or instances_start > 0):
        raise ResumePointMissing(
            f"{topics.history}[{partition}] has no marker between {max(stored_to, start)} and {end}, and the log has a "
            "past: starting from the beginning would decide commands twice. Restore the topic, or raise the topic epoch"
        )
    first = min([point.marker.next_offset, *point.marker.undecided])
    if instances_start > first:
        resting = await store.resting(partition, epoch)
        known = (
            resting is not None and resting.offset == point.marker_offset and resting.commands_end >= instances_start
        )
        if not known:
            raise ResumePointMissing(
                f"{topics.instances}[{partition}] begins at {instances_start}, and commands from {first} on may not have been "
                "decided: something other than this engine has deleted them (`perdure bootstrap --check` names a topic's "
                "retention). Restore the topic; or, once you accept their loss, raise the topic epoch"
            )
        point.marker.next_offset = instances_start  # between the two there were only records of the broker's own
    return point


def _take(point: ResumePoint, record: Record) -> None:
    """Into the tail. What no owner can have written is left out; what an owner may have written is not passed over."""
    try:
        key, event = record.key.decode(), decode(record.value)
    except ValueError as error:  # DecodeError and UnicodeDecodeError are ValueErrors
        _take_unreadable(point, record, str(error))
        return
    if type(event) is BatchCommitted and not key:
        point.marker, point.marker_offset = event, record.offset
    elif type(event) in EVENTS and 0 < len(record.key) <= DERIVED_ID_BYTES_MAX:
        point.tail.setdefault(key, []).append(event)
    else:
        _leave_out(record, f"no {type(event).__name__} is written under this key")


def _take_unreadable(point: ResumePoint, record: Record, reason: str) -> None:
    try:
        key = record.key.decode()
    except UnicodeDecodeError:
        _leave_out(record, reason)
        return
    if not record.value.startswith(MAGIC):
        _leave_out(record, reason)
    elif key:
        point.tail.setdefault(key, [])
        point.damages[key] = f"{record.topic}/{record.partition}/{record.offset} cannot be read ({reason})"
    else:
        raise ResumePointMissing(
            f"{record.topic}[{record.partition}] has at {record.offset} what may be a marker and cannot be read ({reason}): "
            "going on from an earlier one would decide commands twice. Start the version that wrote it, or restore the topic"
        )


def _leave_out(record: Record, reason: str) -> None:
    logger.error(
        "history holds a record of a stranger; it is left out",
        topic=record.topic, partition=record.partition, offset=record.offset, reason=reason,
    )  # fmt: skip


async def _resume_from_store(
    point: ResumePoint, store: HistoryStore, partition: int, epoch: int, bounds: tuple[int, int], stored_to: int
) -> None:
    """A quiet partition's tail has expired: the store has the last marker, if nothing was written to history since."""
    resting = await store.resting(partition, epoch)
    if resting is None or resting.offset < stored_to:
        return
    if not bounds[0] <= resting.end <= bounds[1]:
        return  # what was written after it may have expired, too; what was not committed leaves nothing to be seen but offsets
    try:
        marker = decode(resting.marker)
    except DecodeError as error:
        logger.error("the store's marker cannot be read", partition=partition, reason=str(error))
        return
    if isinstance(marker, BatchCommitted):
        point.marker, point.marker_offset = marker, resting.offset
        logger.warning(
            "history's tail is gone; going on from the store's marker", partition=partition, marker=resting.offset
        )
