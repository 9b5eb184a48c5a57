"""Records to write, listeners to ask, and waiting for a fact with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from perdure.codec.avro import encode
from perdure.core.events import CustomStatusSet
from perdure.core.rows import InstanceRow
from perdure.ports.log import GroupListener, Log, Outgoing, Record
from perdure.ports.store import StoredEvent, StoredTurn
from tests.conformance.clusters import TOPICS, Cluster

T = TypeVar("T")
DEADLINE_SECONDS = 10.0


async def within(fact: Awaitable[T], seconds: float = DEADLINE_SECONDS) -> T:
    """What does not end though it is cancelled is left behind."""
    work = asyncio.ensure_future(fact)
    try:
        await asyncio.wait({work}, timeout=seconds)
        if not work.done():
            raise TimeoutError
        return work.result()
    finally:
        work.cancel()


async def until(fact: Callable[[], bool], *, seconds: float = DEADLINE_SECONDS) -> None:
    async def look() -> None:
        while not fact():
            await asyncio.sleep(0.001)

    await within(look(), seconds)


async def settle() -> None:
    """Let everything that is ready run, so that a thing which must not happen has had its chance."""
    for _ in range(50):
        await asyncio.sleep(0)


def out(value: bytes | str, partition: int = 0, topic: str = TOPICS.instances, **more: object) -> Outgoing:
    return Outgoing(topic, partition, b"key", value if isinstance(value, bytes) else value.encode(), **more)


def values(records: Sequence[Record]) -> list[str]:
    return [record.value.decode() for record in records]


async def everything(log: Log, partition: int = 0, topic: str = TOPICS.instances) -> list[Record]:
    """All records of a partition, by several fetches."""
    records: list[Record] = []
    offset = 0
    while some := await log.fetch(topic, partition, offset, 7):
        records += some
        offset = some[-1].offset + 1
    return records


class Listener(GroupListener):
    """Writes down what it is told. `hold` keeps on_revoked from returning."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[int, ...]]] = []
        self.owned: tuple[int, ...] = ()
        self.hold = asyncio.Event()
        self.hold.set()
        self.calls_at_once = 0

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        await self._one_call()
        self.owned = tuple(partitions)
        self.told.append(("assigned", tuple(partitions)))
        self.calls_at_once -= 1

    async def on_revoked(self, partitions: Sequence[int]) -> None:
        await self._one_call()
        self.told.append(("revoked", tuple(partitions)))
        await self.hold.wait()
        self.owned = ()
        self.calls_at_once -= 1

    async def _one_call(self) -> None:
        self.calls_at_once += 1
        assert self.calls_at_once == 1
        await asyncio.sleep(0)


def row(instance_id: str, run: str = "0.0.1", generation: int = 0, last_seq: int = 0, **more: object) -> InstanceRow:
    fields = {"name": "order", "status": "RUNNING", "created_at_us": 1_000, "updated_at_us": 2_000} | more
    return InstanceRow(instance_id, run, generation, last_seq, **fields)


def event(of: InstanceRow, seq: int) -> StoredEvent:
    return StoredEvent(seq, encode(CustomStatusSet(of.run, of.generation, seq, 5, 0, value=f"{of.run}/{seq}")))


class Histories:
    """Writes as an owner does: events and a marker in one commit, then, later, the store."""

    def __init__(self, cluster: Cluster, partition: int = 0) -> None:
        self.cluster = cluster
        self.partition = partition

    async def commit(self, *turns: StoredTurn) -> int:
        """To the log alone; returns the marker's offset."""
        writer = await self.cluster.log.open_writer(f"owner-{self.partition}")
        records = [
            Outgoing(TOPICS.history, self.partition, turn.row.instance_id.encode(), event.value)
            for turn in turns
            for event in turn.events
        ]
        return await writer.commit([*records, Outgoing(TOPICS.history, self.partition, b"", b"marker")])

    async def store(self, offset: int, *turns: StoredTurn) -> None:
        await self.cluster.store.append(self.partition, offset + 1, offset, turns)

    async def write(self, *turns: StoredTurn) -> int:
        """To the log and to the store; returns the position."""
        offset = await self.commit(*turns)
        await self.store(offset, *turns)
        return offset


def turn(of: InstanceRow, *seqs: int) -> StoredTurn:
    return StoredTurn(of, [event(of, seq) for seq in seqs])
