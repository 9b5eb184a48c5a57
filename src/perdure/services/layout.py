"""What is recorded of a namespace: its partition count, the form of its topics, and its write version.

An instance lives in the partition that its id hashes to, so the count is part of where everything is. The record lies in
a topic of its own, `<ns>.layout`, and the last one counts; topics that somebody has grown since are noticed by it. Of
the write version the highest counts: two upgrades at once, by whatever releases, never lower it.

A release from before there were write versions ignores theirs. So a namespace above the first one has another form,
which such a release refuses at its start, and whose record its bootstrap leaves alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from typing import Final

from perdure.codec.versions import OLDEST, newest
from perdure.core.names import Topics
from perdure.ports.errors import PortError, TopicMismatch, TopicMissing
from perdure.ports.log import Log, Outgoing

__all__ = ["Layout", "layout_topic", "raise_layout", "read_layout", "record_layout", "refuse_unknown", "verify_layout"]

FORM: Final = 1
FORM_RAISED: Final = 2
"""Of the topics and their meaning: the second is the first, with records above write version 1. A release that cannot
serve an older form says so."""

READ_MAX: Final = 100


@dataclass(slots=True, frozen=True)
class Layout:
    """`writes`: the namespace's write version; `release`: whose bootstrap or upgrade has raised it, "" if nobody has.
    `epoch`: of the topics, raised by `perdure grow`; an operator may set a higher one (PERDURE_EPOCH).
    """

    partitions: int
    form: int = FORM
    writes: int = OLDEST
    release: str = ""
    epoch: int = 0

    def raised(self) -> Layout:
        """With the newest write version that this release knows."""
        return self if self.writes >= newest() else replace(self, form=FORM_RAISED, writes=newest(), release=_release())


def layout_topic(topics: Topics) -> str:
    return f"{topics.namespace}.layout"


async def read_layout(log: Log, topics: Topics) -> Layout | None:
    """The recorded one; None if nothing was recorded yet. Raises TopicMissing, PortError."""
    topic = layout_topic(topics)
    await log.partitions(topic)
    position, end = await log.bounds(topic, 0)
    values: list[bytes] = []
    while position < end:
        records = await log.fetch(topic, 0, position, READ_MAX)
        if not records:
            break
        values += [record.value for record in records]
        position = records[-1].offset + 1
    return _latest(values, topic) if values else None


async def record_layout(log: Log, topics: Topics, layout: Layout) -> None:
    """Record it, unless it is. Raises TopicMismatch where another one was recorded."""
    known = await read_layout(log, topics)
    if known is None:
        await _append(log, topics, layout)
    elif known.partitions != layout.partitions:
        raise TopicMismatch(
            f"namespace {topics.namespace} was bootstrapped with {known.partitions} partitions, not {layout.partitions}: "
            f"ids would move to other partitions. Set PERDURE_PARTITIONS={known.partitions}, or use another namespace"
        )


async def raise_layout(log: Log, topics: Topics, layout: Layout) -> None:
    """Record a layout whose write version was raised, or that was grown. Raises PortError."""
    await _append(log, topics, layout)


async def _append(log: Log, topics: Topics, layout: Layout) -> None:
    value = json.dumps(asdict(layout)).encode()
    await log.append([Outgoing(layout_topic(topics), 0, topics.namespace.encode(), value)])


async def verify_layout(log: Log, topics: Topics, queue: str = "") -> Layout:
    """The topics as they are have the recorded count. Raises TopicMissing, TopicMismatch, PortError."""
    layout = await read_layout(log, topics)
    if layout is None:
        raise TopicMissing(f"namespace {topics.namespace} was not bootstrapped to its end: `perdure bootstrap` does it")
    refuse_unknown(layout, topics)
    names = (topics.instances, topics.history, topics.timers, topics.activities(), topics.activities(queue))
    for topic in dict.fromkeys(names):
        live = await log.partitions(topic)
        if live != layout.partitions:
            raise TopicMismatch(
                f"topic {topic} has {live} partitions, {layout.partitions} were recorded at bootstrap: ids would be looked "
                "for where they are not. Nothing was touched; restore the topic, or move to another namespace"
            )
    return layout


def refuse_unknown(layout: Layout, topics: Topics) -> None:
    """Raises TopicMismatch where this release would meet records that it cannot read."""
    if layout.writes > newest():
        needed = f"release {layout.release} or a later one" if layout.release else "a later release"
        raise TopicMismatch(
            f"namespace {topics.namespace} is written at version {layout.writes}, this release "
            f"({_release() or 'of a checkout'}) reads up to {newest()}: run {needed} on it"
        )
    if layout.form not in (FORM, FORM_RAISED):
        raise TopicMismatch(
            f"namespace {topics.namespace} has form {layout.form}, this release serves form {FORM} and {FORM_RAISED}: use "
            "the release that bootstrapped it, or another namespace"
        )


def _release() -> str:
    try:
        return metadata.version("perdure")
    except metadata.PackageNotFoundError:
        return ""


def _latest(values: Sequence[bytes], topic: str) -> Layout:
    """The last one, with the highest write version of all."""
    last = _decoded(values[-1], topic)
    for value in values[:-1]:
        try:
            earlier = _decoded(value, topic)
        except PortError:
            continue  # of which only the last one was ever asked
        if earlier.writes > last.writes:
            last = replace(last, form=earlier.form, writes=earlier.writes, release=earlier.release)
    return last


def _decoded(value: bytes, topic: str) -> Layout:
    try:
        found = json.loads(value)
        writes, release = found.get("writes", OLDEST), found.get("release", "")
        epoch = int(found.get("epoch", 0))
        return Layout(int(found["partitions"]), int(found["form"]), int(writes), str(release), epoch)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PortError(
            f"topic {topic} holds something that is no layout: was it written by another program?"
        ) from None
