"""The log on Kafka: one process's way to a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from perdure.adapters.kafka import fetching, limits, topics
from perdure.adapters.kafka.appender import Appender
from perdure.adapters.kafka.clients import bounded
from perdure.adapters.kafka.connection import Connection
from perdure.adapters.kafka.groups import KafkaGroups
from perdure.adapters.kafka.membership import KafkaMember
from perdure.adapters.kafka.producers import open_producer
from perdure.adapters.kafka.settings import KafkaSettings
from perdure.adapters.kafka.writer import KafkaWriter
from perdure.ports.errors import LogClosed
from perdure.ports.log import GroupListener, Log, Membership, Outgoing, Record, TopicSpec, Writer

__all__ = ["KafkaLog"]

log = structlog.get_logger(__name__)
ORDERLY_SECONDS_MAX = 3.5
CUT_SECONDS_MAX = 1.5


class KafkaLog(Log):
    """Made on the running loop; connects at first use, or by `connect` to be told early what is wrong."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self._connection = Connection(settings)
        self.groups = KafkaGroups(self._connection)
        self._appender = Appender(self._connection)
        self._members: set[KafkaMember] = set()
        self._writers: set[KafkaWriter] = set()
        self._closing: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Raises PortError, naming the servers, if none answers."""
        self._check_open()
        await self._connection.client()

    async def check_limits(self, topics: Sequence[str]) -> limits.Findings:
        """Whether brokers and these topics agree with what the engine needs. Raises LogUnavailable."""
        self._check_open()
        return await limits.check_limits(self._connection, topics)

    async def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        self._check_open()
        await topics.create_topics(self._connection, specs)

    async def partitions(self, topic: str) -> int:
        self._check_open()
        return await self._connection.count(topic)

    async def join(self, group: str, topics: Sequence[str], listener: GroupListener) -> Membership:
        self._check_open()
        for topic in topics:
            await self._connection.check_readable(topic)
        member = KafkaMember(self._connection, group, topics, listener)
        self._members = {known for known in self._members if not known.ended} | {member}
        await member.join()
        return member

    async def open_writer(self, transactional_id: str) -> Writer:
        self._check_open()
        producer = await open_producer(self.settings, transactional_id)
        writer = KafkaWriter(self._connection, producer, transactional_id, self._check_open)
        self._writers = {known for known in self._writers if not known.ended} | {writer}
        return writer

    async def append(self, records: Sequence[Outgoing]) -> None:
        self._check_open()
        await self._appender.append(records)

    async def fetch(self, topic: str, partition: int, offset: int, max_records: int) -> list[Record]:
        self._check_open()
        return await fetching.fetch(self._connection, topic, partition, offset, max_records)

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        self._check_open()
        return await self._connection.bounds(topic, partition)

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        self._check_open()
        await topics.delete_before(self._connection, topic, partition, offset)

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        """In good order if Kafka answers; at once if it does not. Bounded, whatever state aiokafka is in."""
        if not await bounded(self._close_in_order(), ORDERLY_SECONDS_MAX):
            log.warning("Kafka does not answer: its clients are cut off", client=self.settings.client_id)
            await bounded(self._cut_off(), CUT_SECONDS_MAX)

    async def _close_in_order(self) -> None:
        await asyncio.gather(*(member.leave() for member in self._members))
        await asyncio.gather(*(writer.close() for writer in self._writers), self._appender.close())
        await self._connection.close()

    async def _cut_off(self) -> None:
        clients = [*(each.cut_off() for each in self._members), *(each.cut_off() for each in self._writers)]
        await asyncio.gather(*clients, self._appender.cut_off(), self._connection.close(), return_exceptions=True)

    def _check_open(self) -> None:
        if self._closing is not None:
            raise LogClosed(f"the log {self.settings.client_id} was closed in this process")
