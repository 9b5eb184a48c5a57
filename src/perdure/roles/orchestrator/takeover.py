"""From the log to a partition that can be served.

Order, and why: open the writer first (it fences the predecessor and settles its last transaction, so that nothing more
can appear behind our back), then read history's tail from the last position known to be stored to its end. The last
marker there is the one resume point: next offset, offsets below it still undecided, and who wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from perdure.codec.avro import decode
from perdure.core.errors import PerdureError
from perdure.core.events import BatchCommitted, Event
from perdure.core.names import Topics
from perdure.ports.log import Log
from perdure.ports.store import HistoryStore

__all__ = ["ResumePoint", "ResumePointMissing", "find_resume_point"]

logger = structlog.get_logger("perdure.orchestrator")
FETCH = 5_000


class ResumePointMissing(PerdureError):
    """The log has a past and no marker that says where to go on: an operator has to look. Never "earliest"."""


@dataclass(slots=True)
class ResumePoint:
    """Where a new owner goes on."""

    marker: BatchCommitted
    marker_offset: int  # -1: the partition has never been served
    tail: dict[str, list[Event]] = field(default_factory=dict)  # events after what is stored, by instance


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
            event = decode(record.value)
            if isinstance(event, BatchCommitted):
                point.marker, point.marker_offset = event, record.offset
            else:
                point.tail.setdefault(record.key.decode(), []).append(event)
        offset = records[-1].offset + 1
    if point.marker_offset < 0 and not point.tail:
        await _resume_from_store(point, store, partition, epoch, end, stored_to)
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


async def _resume_from_store(
    point: ResumePoint, store: HistoryStore, partition: int, epoch: int, end: int, stored_to: int
) -> None:
    """A quiet partition's tail has expired: the store has the last marker, if nothing was written to history since."""
    resting = await store.resting(partition, epoch)
    if resting is None or resting.end != end or resting.offset < stored_to:
        return
    marker = decode(resting.marker)
    if isinstance(marker, BatchCommitted):
        point.marker, point.marker_offset = marker, resting.offset
        logger.warning(
            "history's tail is gone; going on from the store's marker", partition=partition, marker=resting.offset
        )
