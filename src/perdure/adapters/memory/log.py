"""The log in memory: one process's way to a `MemoryBroker`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from perdure.adapters.memory.broker import MemoryBroker
from perdure.adapters.memory.member import Member
from perdure.ports.errors import Fenced, LogClosed, PortError
from perdure.ports.log import Consumed, GroupListener, Log, Outgoing, Record, TopicSpec, Writer

__all__ = ["MemoryLog"]


class MemoryLog(Log):
    """One "process" of the broker. `client_id` is a name for people."""

    def __init__(self, broker: MemoryBroker, client_id: str = "memory") -> None:
        self.client_id = client_id
        self.closed = False
        self.broker = broker
        self._members: list[Member] = []

    async def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        self.check_open()
        self.broker.create_topics(specs)

    async def partitions(self, topic: str) -> int:
        self.check_open()
        return self.broker.partition_count(topic)

    async def join(self, group: str, topics: Sequence[str], listener: GroupListener) -> Member:
        self.check_open()
        member = await self.broker.groups.join(group, topics, listener)
        self._members = [known for known in self._members if not known.left]
        self._members.append(member)
        return member

    async def open_writer(self, transactional_id: str) -> Writer:
        self.check_open()
        return _MemoryWriter(self, self.broker, transactional_id)

    async def append(self, records: Sequence[Outgoing]) -> None:
        self.check_open()
        self.broker.append(records)
        await asyncio.sleep(0)  # written, not yet acknowledged: the moment in which a caller may be cancelled

    async def fetch(self, topic: str, partition: int, offset: int, max_records: int) -> list[Record]:
        self.check_open()
        source = self.broker.source(topic, partition)
        return source.ready(max(offset, source.start), max_records)[0]

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        self.check_open()
        source = self.broker.source(topic, partition)
        return source.start, source.end

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        self.check_open()
        self.broker.source(topic, partition).delete_before(offset)

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            await asyncio.gather(*(member.leave() for member in self._members))

    def crash(self) -> None:
        """As if the process had died: no listener is told, its reads end, its calls raise LogClosed."""
        self.closed = True
        for member in self._members:
            member.vanish()

    def check_open(self) -> None:
        if self.closed:
            raise LogClosed(f"the log {self.client_id} was closed in this process")


class _MemoryWriter(Writer):
    def __init__(self, log: MemoryLog, broker: MemoryBroker, transactional_id: str) -> None:
        self._log = log
        self.broker = broker
        self._transactional_id = transactional_id
        self._epoch = broker.open_epoch(transactional_id)
        self._dead = False

    async def commit(self, records: Sequence[Outgoing], *, consumed: Consumed | None = None) -> int:
        self._log.check_open()
        if not records and consumed is None:
            raise ValueError("a commit needs records")
        await asyncio.sleep(0)  # begun, not yet written: the moment in which a newer writer may come
        self._log.check_open()
        if self._dead:
            raise Fenced(f"this writer of {self._transactional_id} failed before, or was closed: open a new one")
        try:
            self.broker.check_epoch(self._transactional_id, self._epoch)
            return self.broker.commit(records, consumed)
        except PortError:
            self._dead = True
            raise

    async def close(self) -> None:
        self._dead = True
