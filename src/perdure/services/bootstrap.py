"""`perdure bootstrap`: what must exist before the first service starts. Idempotent: a second run finishes or confirms.

The order is the law: the recorded partition count is compared before anything is made, and recorded after everything
was; so a namespace with a record is whole. Settings of topics that exist are never changed behind an operator's back,
they are named with what they should be. Two topics are exceptions: nobody reads an answer twice, so bootstrap lets Kafka
delete old replies; of a subscription the last record counts, so it lets Kafka compact those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from perdure.assembly import topic_specs
from perdure.core.names import Topics
from perdure.ports.errors import PortError, TopicMissing
from perdure.ports.log import Log, TopicSpec
from perdure.services.kafka_topics import TopicFacts, differences
from perdure.services.layout import Layout, layout_topic, read_layout, record_layout, verify_layout

__all__ = ["Bootstrap", "TopicsOutside", "Wanted", "wanted_topics"]

SETTLE_SECONDS: Final = 10.0
SETTLE_PAUSE_SECONDS: Final = 0.2

UNPACKED: Final = "compression.type"
"""Of `<ns>.instances`, where anybody writes. Set when the namespace is made; earlier ones work without, and services warn."""

REPLY_RETENTION_MS: Final = 3_600_000
"""Answers older than any request waits for them."""


@dataclass(slots=True, frozen=True)
class Wanted:
    """A topic as it should be."""

    name: str
    partitions: int
    settings: Mapping[str, str]


class TopicsOutside(Protocol):
    """What the log's port does not tell of topics (`KafkaTopics`)."""

    async def facts(self, names: Sequence[str]) -> dict[str, TopicFacts]: ...

    async def put(self, name: str, settings: Mapping[str, str]) -> None: ...


def wanted_topics(topics: Topics, partitions: int, queues: Sequence[str], settings: Mapping[str, str]) -> list[Wanted]:
    """All topics of a namespace, `settings` being those that every topic has."""
    specs = topic_specs(topics, partitions)
    specs += [TopicSpec(topics.activities(queue), partitions) for queue in queues if queue]
    specs += [TopicSpec(layout_topic(topics), 1), TopicSpec(topics.subscriptions, 1)]
    own = {
        # The broker unpacks what producers have packed, so that its limit holds for what owners unpack.
        topics.instances: {**settings, UNPACKED: "uncompressed"},
        topics.replies: {**settings, "retention.ms": str(REPLY_RETENTION_MS)},
        topics.subscriptions: {**settings, "cleanup.policy": "compact"},
    }
    return [Wanted(each.name, each.partitions, own.get(each.name, settings)) for each in specs]


async def _unchecked() -> list[str]:
    return []


class Bootstrap:
    """`create` and `check` each return what they found wrong, in sentences: an empty list is success."""

    def __init__(
        self,
        log: Log,
        topics: Topics,
        wanted: Sequence[Wanted],
        *,
        partitions: int,
        copies: int,
        outside: TopicsOutside,
        create_tables: Callable[[], Awaitable[None]],
        check_tables: Callable[[], Awaitable[list[str]]],
        check_brokers: Callable[[], Awaitable[list[str]]] = _unchecked,
        settle_seconds: float = SETTLE_SECONDS,
        epoch: int = 0,
    ) -> None:
        self._log = log
        self._topics = topics
        self._wanted = wanted
        self._layout = Layout(partitions, epoch=epoch).raised()
        self._copies = copies
        self._outside = outside
        self._create_tables = create_tables
        self._check_tables = check_tables
        self._check_brokers = check_brokers
        self._settle_seconds = settle_seconds

    async def create(self) -> list[str]:
        """Raises TopicMismatch, PortError, StoreUnavailable: then it was not finished, and nothing can start on it."""
        try:
            known = await read_layout(self._log, self._topics)
        except TopicMissing:
            known = None
        if known is not None:
            await record_layout(self._log, self._topics, self._layout)  # raises where another one is recorded
        await self._log.create_topics([TopicSpec(each.name, each.partitions) for each in self._wanted])
        fresh = [] if known is not None else [self._topics.instances]
        for name in (*fresh, self._topics.replies, self._topics.subscriptions):
            await self._set_up(name)
        await self._create_tables()
        await record_layout(self._log, self._topics, self._layout)
        return await self._settled()

    async def _settled(self) -> list[str]:
        """What is still wrong when all brokers have had the time to hear of what the first of them acknowledged."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settle_seconds
        while faults := await self.check():
            if loop.time() >= end:
                break
            await asyncio.sleep(SETTLE_PAUSE_SECONDS)
        return faults

    async def check(self) -> list[str]:
        """Reads only. What cannot be reached is among what is wrong."""
        faults = []
        try:
            faults += await self._check_brokers()
            faults += await self._check_topics()
            recorded = await verify_layout(self._log, self._topics)
            if recorded.partitions != self._layout.partitions:
                faults.append(
                    f"{recorded.partitions} partitions were recorded at bootstrap, {self._layout.partitions} are asked for: "
                    f"set PERDURE_PARTITIONS={recorded.partitions}"
                )
        except PortError as error:
            faults.append(str(error))
        try:
            faults += await self._check_tables()
        except PortError as error:
            faults.append(str(error))
        return faults

    async def _check_topics(self) -> list[str]:
        facts = await self._outside.facts([each.name for each in self._wanted])
        faults = []
        for each in self._wanted:
            found = facts.get(each.name)
            if found is None:
                faults.append(f"topic {each.name} does not exist, or may not be read: `perdure bootstrap` creates it")
                continue
            needed = {name: value for name, value in each.settings.items() if name != UNPACKED}
            faults += [f"topic {each.name} {text}" for text in differences(found, needed, self._copies)]
        return faults

    async def _set_up(self, name: str) -> None:
        wanted = next(each for each in self._wanted if each.name == name)
        found = (await self._outside.facts([name])).get(name)
        if found is not None and found.settings is not None and differences(found, wanted.settings, 0):
            await self._outside.put(name, wanted.settings)
