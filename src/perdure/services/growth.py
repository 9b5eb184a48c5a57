"""`perdure grow`: more partitions for a namespace, while no orchestrator runs.

An instance lives where its id hashes to, so with another count most of them move. What makes that safe is that nothing of
an instance is anywhere but in the store when it does: every command is decided, every event is stored. Then its new
owner finds it there, like any instance that is not in memory; and what is still on its way to the old partition (results
of activities, timers: they go where the run began) is passed on from there, as any command that comes to a wrong one.

**Law.** The order is: look, grow the topics, mark each old partition, record. Before the record no service starts, for the
topics and the recorded count differ; so a run that was cut off anywhere is finished by another. The mark is a marker at
the next topic epoch, written under the owner's own fence: positions in the store are ordered by the epoch first, and an
instance that moves from a high offset to a low one would otherwise be taken for an old write of itself.

What was rejected: new topics and a copy of everything. It moves what need not move, and leaves two logs to choose from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from perdure.assembly import topic_specs
from perdure.cli.exits import Conflict
from perdure.codec.avro import DecodeError, decode
from perdure.codec.encoder import Encoder
from perdure.core.commands import InspectInstance
from perdure.core.names import Topics
from perdure.ports.errors import TopicMismatch, TopicMissing
from perdure.ports.log import Log, Outgoing
from perdure.ports.store import EPOCH_SHIFT, HistoryStore
from perdure.roles.orchestrator.takeover import ResumePoint, ResumePointMissing, find_resume_point
from perdure.services.groups import Member
from perdure.services.layout import Layout, raise_layout, read_layout, refuse_unknown

__all__ = ["Growth", "NotAtRest", "TopicsGrow"]

LOOKED_AT: Final = 1_000
"""Records of the end of a partition that are read to tell commands from questions."""

KNOWS_EPOCHS: Final = 2
"""The write version since which every service takes the topic epoch from the layout."""

OWNER: Final = "perdure-grow"


class NotAtRest(Conflict):
    """Something is still under way: the text says what, and what to do."""


class TopicsGrow(Protocol):
    """What the log's port does not do with topics (`KafkaTopics`)."""

    async def names(self, prefix: str) -> list[str]: ...

    async def grow(self, counts: Mapping[str, int]) -> None: ...


class Groups(Protocol):
    async def members_of(self, group: str) -> list[Member]: ...


@dataclass(slots=True)
class Partition:
    """An old one, taken over: where it stands, and the writer that fences everybody else."""

    number: int
    point: ResumePoint
    waiting: int  # commands that nobody has decided


class Growth:
    """Of one namespace. `tell` is given a sentence at each step."""

    def __init__(
        self,
        log: Log,
        store: HistoryStore,
        topics: Topics,
        outside: TopicsGrow,
        groups: Groups,
        epoch: int,
        tell: Callable[[str], None],
    ) -> None:
        self._log = log
        self._store = store
        self._topics = topics
        self._outside = outside
        self._groups = groups
        self._epoch = epoch
        self._tell = tell

    async def run(self, partitions: int, *, pass_on: bool = False) -> Layout:
        """The layout then. `pass_on`: commands that are not decided yet may wait for their new owners.

        Raises NotAtRest, TopicMissing, TopicMismatch, PortError, StoreUnavailable, ResumePointMissing.
        """
        layout = await self._layout(partitions)
        if layout.partitions == partitions:
            self._tell(f"namespace {self._topics.namespace} has {partitions} partitions: nothing to do")
            return layout
        await self._nobody_decides()
        epoch = max(layout.epoch, self._epoch)
        found = [await self._look(number, epoch) for number in range(layout.partitions)]
        waiting = sum(each.waiting for each in found)
        if waiting and not pass_on:
            raise NotAtRest(
                f"{waiting} commands are not decided: let orchestrators finish them (stop producers and gateways first), or give "
                "--pass-on: they are kept and passed on to their new owners, and one instance's may then be overtaken by later ones"
            )
        await self._grow_topics(partitions)
        for each in found:
            await self._mark(each, epoch + 1, Encoder(layout.writes))
        grown = replace(layout, partitions=partitions, epoch=epoch + 1)
        await raise_layout(self._log, self._topics, grown)
        self._tell(f"recorded: {partitions} partitions, topic epoch {grown.epoch}")
        return grown

    async def _layout(self, partitions: int) -> Layout:
        layout = await read_layout(self._log, self._topics)
        if layout is None:
            raise TopicMissing(
                f"namespace {self._topics.namespace} was not bootstrapped to its end: `perdure bootstrap` does it"
            )
        refuse_unknown(layout, self._topics)
        if layout.writes < KNOWS_EPOCHS:
            raise TopicMismatch(
                f"namespace {self._topics.namespace} is at write version {layout.writes}, whose releases do not look for an epoch in "
                "its layout: `perdure upgrade` first"
            )
        if partitions < layout.partitions:
            raise TopicMismatch(
                f"namespace {self._topics.namespace} has {layout.partitions} partitions: Kafka cannot take any away"
            )
        return layout

    async def _nobody_decides(self) -> None:
        owners = await self._groups.members_of(f"{self._topics.namespace}.orchestrator")
        if owners:
            named = ", ".join(f"{each.client} at {each.host}" for each in owners)
            raise NotAtRest(f"orchestrators run: {named}. Stop them (they drain), then grow; nothing is lost meanwhile")

    async def _look(self, number: int, epoch: int) -> Partition:
        topics = self._topics
        point = await self._resume_point(number, epoch)
        if point.tail:
            raise NotAtRest(
                f"{len(point.tail)} instances of partition {number} have events that the store has not: start an orchestrator, let it "
                "get ready, and stop it with SIGTERM"
            )
        records = await self._log.fetch(topics.instances, number, point.marker.next_offset, LOOKED_AT)
        waiting = len(point.marker.undecided) + sum(not _is_question(each.value) for each in records)
        return Partition(number, point, waiting)

    async def _resume_point(self, number: int, epoch: int) -> ResumePoint:
        """At the epoch that it is at: an earlier run may have marked it, and may not have told the store."""
        log, store, topics = self._log, self._store, self._topics
        if marked := await store.stored_to(number, epoch + 1):
            return await find_resume_point(log, store, topics, number, epoch + 1, marked)
        stored_to = await store.stored_to(number, epoch)
        try:
            return await find_resume_point(log, store, topics, number, epoch, stored_to)
        except ResumePointMissing:
            return await find_resume_point(log, store, topics, number, epoch + 1, stored_to)

    async def _grow_topics(self, partitions: int) -> None:
        counts = {}
        for name in await self._growing():
            if await self._log.partitions(name) < partitions:
                counts[name] = partitions
        if counts:
            self._tell(f"growing {len(counts)} topics to {partitions} partitions: {', '.join(counts)}")
            await self._outside.grow(counts)

    async def _growing(self) -> list[str]:
        """Those that every namespace has are not looked for: one that may not be seen would be left out without a word."""
        topics = self._topics
        not_here = (topics.replies, topics.dead_letter_marks)  # that one never grows
        names = [each.name for each in topic_specs(topics, 1) if each.name not in not_here]
        found = await self._outside.names(f"{topics.namespace}.")
        queues = [name for name in found if name.startswith(f"{topics.activities()}.")]
        return [*names, *await self._marks(), *queues]

    async def _marks(self) -> list[str]:
        """A namespace of an earlier release has none before bootstrap is run again."""
        try:
            await self._log.partitions(self._topics.dead_letter_marks)
        except TopicMissing:
            return []
        return [self._topics.dead_letter_marks]

    async def _mark(self, partition: Partition, epoch: int, encode: Encoder) -> None:
        number, point = partition.number, partition.point
        if point.marker_offset < 0:
            return  # nothing was ever decided there
        topics = self._topics
        writer = await self._log.open_writer(f"{topics.namespace}.orchestrator.{number}")
        try:
            marker = replace(point.marker, epoch=epoch, owner=OWNER, takeovers=0, trying="")
            offset = await writer.commit([Outgoing(topics.history, number, b"", encode(marker))])
        finally:
            await writer.close()
        await self._store.append(number, offset, epoch << EPOCH_SHIFT | offset, [])
        self._tell(f"partition {number} is marked at {offset}")


def _is_question(value: bytes) -> bool:
    try:
        return type(decode(value)) is InspectInstance
    except DecodeError:
        return False
