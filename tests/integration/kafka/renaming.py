"""A log under other names: the conformance tests name their topics themselves, and brokers outlive a test.

Topics, groups and transactional ids get a prefix on the way in; records and errors lose it on the way out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from perdure.ports.log import Consumed, GroupListener, Log, Membership, Outgoing, Reader, Record, TopicSpec, Writer


class Names:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def inside(self, name: str) -> str:
        return self.prefix + name

    def send(self, records: Sequence[Outgoing]) -> list[Outgoing]:
        return [replace(record, topic=self.inside(record.topic)) for record in records]

    def receive(self, records: Sequence[Record]) -> list[Record]:
        return [replace(record, topic=record.topic.removeprefix(self.prefix)) for record in records]

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            self.clean(error)
            raise

    def clean(self, error: Exception) -> None:
        error.args = tuple(part.replace(self.prefix, "") if isinstance(part, str) else part for part in error.args)


class RenamedLog(Log):
    def __init__(self, log: Log, names: Names) -> None:
        self.inner = log
        self.names = names

    async def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        async with self.names.told():
            await self.inner.create_topics([TopicSpec(self.names.inside(spec.name), spec.partitions) for spec in specs])

    async def partitions(self, topic: str) -> int:
        async with self.names.told():
            return await self.inner.partitions(self.names.inside(topic))

    async def join(self, group: str, topics: Sequence[str], listener: GroupListener) -> Membership:
        async with self.names.told():
            inside = [self.names.inside(topic) for topic in topics]
            return RenamedMembership(await self.inner.join(self.names.inside(group), inside, listener), self.names)

    async def open_writer(self, transactional_id: str) -> Writer:
        return RenamedWriter(await self.inner.open_writer(self.names.inside(transactional_id)), self.names)

    async def append(self, records: Sequence[Outgoing]) -> None:
        async with self.names.told():
            await self.inner.append(self.names.send(records))

    async def fetch(self, topic: str, partition: int, offset: int, max_records: int) -> list[Record]:
        async with self.names.told():
            found = await self.inner.fetch(self.names.inside(topic), partition, offset, max_records)
            return self.names.receive(found)

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        async with self.names.told():
            return await self.inner.bounds(self.names.inside(topic), partition)

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        async with self.names.told():
            await self.inner.delete_before(self.names.inside(topic), partition, offset)

    async def close(self) -> None:
        await self.inner.close()


class RenamedWriter(Writer):
    def __init__(self, writer: Writer, names: Names) -> None:
        self.inner = writer
        self.names = names

    async def commit(self, records: Sequence[Outgoing], *, consumed: Consumed | None = None) -> int:
        if consumed is not None:
            consumed = replace(
                consumed, group=self.names.inside(consumed.group), topic=self.names.inside(consumed.topic)
            )
        async with self.names.told():
            return await self.inner.commit(self.names.send(records), consumed=consumed)

    async def close(self) -> None:
        await self.inner.close()


class RenamedMembership(Membership):
    def __init__(self, membership: Membership, names: Names) -> None:
        self.inner = membership
        self.names = names

    def reader(self, topic: str, partition: int) -> Reader:
        try:
            return RenamedReader(self.inner.reader(self.names.inside(topic), partition), self.names)
        except Exception as error:
            self.names.clean(error)
            raise

    async def leave(self) -> None:
        await self.inner.leave()


class RenamedReader(Reader):
    def __init__(self, reader: Reader, names: Names) -> None:
        self.inner = reader
        self.names = names

    async def read(self, max_records: int) -> list[Record]:
        async with self.names.told():
            return self.names.receive(await self.inner.read(max_records))

    def wake(self) -> None:
        self.inner.wake()

    @property
    def position(self) -> int:
        return self.inner.position

    def seek(self, offset: int) -> None:
        self.inner.seek(offset)

    async def committed(self):
        async with self.names.told():
            return await self.inner.committed()

    async def commit(self, offset: int, metadata: str = "", *, lazy: bool = False) -> None:
        async with self.names.told():
            await self.inner.commit(offset, metadata, lazy=lazy)
