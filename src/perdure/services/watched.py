"""A log that tells how far its readers have come. Above the port: it knows no client, and changes nothing.

The watchdog needs two facts that no port tells: which readers there are, and whether a role is waiting in `read` or
does not ask for more.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.ports.log import Committed, GroupListener, Log, Membership, Outgoing, Reader, Record, TopicSpec, Writer

__all__ = ["WatchedLog", "WatchedReader"]


class WatchedReader(Reader):
    """`reading` while a `read` waits."""

    def __init__(self, topic: str, partition: int, reader: Reader) -> None:
        self.topic = topic
        self.partition = partition
        self.reading = False
        self._reader = reader

    async def read(self, max_records: int) -> list[Record]:
        self.reading = True
        try:
            return await self._reader.read(max_records)
        finally:
            self.reading = False

    def wake(self) -> None:
        self._reader.wake()

    @property
    def position(self) -> int:
        return self._reader.position

    def seek(self, offset: int) -> None:
        self._reader.seek(offset)

    async def committed(self) -> Committed:
        return await self._reader.committed()

    async def commit(self, offset: int, metadata: str = "", *, lazy: bool = False) -> None:
        await self._reader.commit(offset, metadata, lazy=lazy)


class WatchedLog(Log):
    """`readers`: those that were asked for and not revoked since."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._readers: dict[tuple[str, str, int], WatchedReader] = {}

    @property
    def readers(self) -> list[WatchedReader]:
        return list(self._readers.values())

    async def join(self, group: str, topics: Sequence[str], listener: GroupListener) -> Membership:
        joined = await self._log.join(group, topics, _Listener(self, group, listener))
        return _Membership(self, group, joined)

    def watch(self, group: str, topic: str, partition: int, reader: Reader) -> Reader:
        watched = self._readers[group, topic, partition] = WatchedReader(topic, partition, reader)
        return watched

    def forget(self, group: str, partitions: Sequence[int]) -> None:
        gone = [key for key in self._readers if key[0] == group and key[2] in partitions]
        for key in gone:
            del self._readers[key]

    async def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        await self._log.create_topics(specs)

    async def partitions(self, topic: str) -> int:
        return await self._log.partitions(topic)

    async def open_writer(self, transactional_id: str) -> Writer:
        return await self._log.open_writer(transactional_id)

    async def append(self, records: Sequence[Outgoing]) -> None:
        await self._log.append(records)

    async def fetch(self, topic: str, partition: int, offset: int, max_records: int) -> list[Record]:
        return await self._log.fetch(topic, partition, offset, max_records)

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return await self._log.bounds(topic, partition)

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        await self._log.delete_before(topic, partition, offset)

    async def close(self) -> None:
        await self._log.close()


class _Membership(Membership):
    def __init__(self, log: WatchedLog, group: str, membership: Membership) -> None:
        self._log = log
        self._group = group
        self._membership = membership

    def reader(self, topic: str, partition: int) -> Reader:
        return self._log.watch(self._group, topic, partition, self._membership.reader(topic, partition))

    async def leave(self) -> None:
        await self._membership.leave()


class _Listener(GroupListener):
    """What is being given up is not watched any more: finishing it is no stall."""

    def __init__(self, log: WatchedLog, group: str, listener: GroupListener) -> None:
        self._log = log
        self._group = group
        self._listener = listener

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        await self._listener.on_assigned(partitions)

    async def on_revoked(self, partitions: Sequence[int]) -> None:
        self._log.forget(self._group, partitions)
        await self._listener.on_revoked(partitions)
