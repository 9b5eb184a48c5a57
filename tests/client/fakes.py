"""An engine's owner in miniature: reads commands from the log and answers as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from perdure.adapters.memory import MemoryBroker, MemoryHistoryStore, MemoryLog
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.client.log_transport import LogTransport
from perdure.codec.avro import decode, encode
from perdure.core.names import Topics
from perdure.core.replies import Reply
from perdure.ports.log import Outgoing, Record, TopicSpec

Answer = Callable[[str, object], Reply | None]
TOPICS = Topics("t")


def accept(instance_id, command):
    return Reply("", "", accepted=True)


class FakeOwner:
    """Answers every command with `answer(instance_id, command)`; None: stays silent. Keeps what it saw."""

    def __init__(self, answer: Answer = accept, partitions: int = 3, clock=None) -> None:
        self.answer = answer
        self.partitions = partitions
        self.seen: list[tuple[str, object]] = []
        self.records: list[Record] = []
        self.broker = MemoryBroker(clock or SystemClock())
        self.store = MemoryHistoryStore()
        self.log = MemoryLog(self.broker, "owner")
        self.client_log = MemoryLog(self.broker, "client")
        self._offsets = [0] * partitions
        self._task: asyncio.Task | None = None
        self.arrived = asyncio.Condition()

    async def start(self) -> None:
        await self.log.create_topics([TopicSpec(TOPICS.instances, self.partitions), TopicSpec(TOPICS.replies, 2)])
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def until_seen(self, count: int) -> None:
        async with asyncio.timeout(5), self.arrived:
            await self.arrived.wait_for(lambda: len(self.seen) >= count)

    def transport(self, **more) -> LogTransport:
        return LogTransport(self.client_log, self.store, TOPICS, SystemEntropy(), SystemClock(), **more)

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *error):
        await self.stop()

    async def _run(self) -> None:
        while True:
            answers = []
            for partition in range(self.partitions):
                for record in await self.log.fetch(TOPICS.instances, partition, self._offsets[partition], 1000):
                    self._offsets[partition] = record.offset + 1
                    answers += self._decide(record)
            if answers:
                await self.log.append(answers)
            async with self.arrived:
                self.arrived.notify_all()
            await asyncio.sleep(0)

    def _decide(self, record: Record):
        instance_id, command = record.key.decode(), decode(record.value)
        self.seen.append((instance_id, command))
        self.records.append(record)
        reply = self.answer(instance_id, command)
        if reply is None:
            return []
        number, _, token = command.reply_to.partition("/")
        reply.correlation, reply.token = command.command_id, token
        return [Outgoing(TOPICS.replies, int(number), token.encode(), encode(reply), volatile=True)]
