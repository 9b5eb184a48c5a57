"""What bootstrap recorded of a namespace: its partition count and the form of its topics.

An instance lives in the partition that its id hashes to, so the count is part of where everything is. The record lies in
a topic of its own, `<ns>.layout`, and the last one counts; topics that somebody has grown since are noticed by it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from perdure.core.names import Topics
from perdure.ports.errors import PortError, TopicMismatch, TopicMissing
from perdure.ports.log import Log, Outgoing

__all__ = ["Layout", "layout_topic", "read_layout", "record_layout", "verify_layout"]

FORM: Final = 1
"""Of the topics and their meaning. A release that cannot serve an older form says so."""

READ_MAX: Final = 100


@dataclass(slots=True, frozen=True)
class Layout:
    partitions: int
    form: int = FORM


def layout_topic(topics: Topics) -> str:
    return f"{topics.namespace}.layout"


async def read_layout(log: Log, topics: Topics) -> Layout | None:
    """The recorded one; None if nothing was recorded yet. Raises TopicMissing, PortError."""
    topic = layout_topic(topics)
    await log.partitions(topic)
    position, end = await log.bounds(topic, 0)
    last: bytes = b""
    while position < end:
        records = await log.fetch(topic, 0, position, READ_MAX)
        if not records:
            break
        last, position = records[-1].value, records[-1].offset + 1
    return _decoded(last, topic) if last else None


async def record_layout(log: Log, topics: Topics, layout: Layout) -> None:
    """Record it, unless it is. Raises TopicMismatch where another one was recorded."""
    known = await read_layout(log, topics)
    if known is None:
        value = json.dumps(asdict(layout)).encode()
        await log.append([Outgoing(layout_topic(topics), 0, topics.namespace.encode(), value)])
    elif known != layout:
        raise TopicMismatch(
            f"namespace {topics.namespace} was bootstrapped with {known.partitions} partitions, not {layout.partitions}: "
            f"ids would move to other partitions. Set PERDURE_PARTITIONS={known.partitions}, or use another namespace"
        )


async def verify_layout(log: Log, topics: Topics, queue: str = "") -> Layout:
    """The topics as they are have the recorded count. Raises TopicMissing, TopicMismatch, PortError."""
    layout = await read_layout(log, topics)
    if layout is None:
        raise TopicMissing(f"namespace {topics.namespace} was not bootstrapped to its end: `perdure bootstrap` does it")
    if layout.form != FORM:
        raise TopicMismatch(
            f"namespace {topics.namespace} has form {layout.form}, this release serves form {FORM}: use the release that "
            "bootstrapped it, or another namespace"
        )
    names = (topics.instances, topics.history, topics.timers, topics.activities(), topics.activities(queue))
    for topic in dict.fromkeys(names):
        live = await log.partitions(topic)
        if live != layout.partitions:
            raise TopicMismatch(
                f"topic {topic} has {live} partitions, {layout.partitions} were recorded at bootstrap: ids would be looked "
                "for where they are not. Nothing was touched; restore the topic, or move to another namespace"
            )
    return layout


def _decoded(value: bytes, topic: str) -> Layout:
    try:
        found = json.loads(value)
        return Layout(int(found["partitions"]), int(found["form"]))
    except (ValueError, KeyError, TypeError):
        raise PortError(
            f"topic {topic} holds something that is no layout: was it written by another program?"
        ) from None
