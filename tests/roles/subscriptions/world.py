"""A broker in memory with a topic of somebody else's, and subscriber processes that may die at any step."""

import asyncio
import json
from collections import Counter

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.adapters.system import SystemClock
from perdure.codec.avro import decode
from perdure.core.names import Topics
from perdure.ports.log import Membership, Outgoing, Reader, TopicSpec, Writer
from perdure.roles.subscriptions import SubscriberService, SubscriberSettings
from perdure.roles.subscriptions.register import add
from tests.roles.subscriptions.messages import subscribed

TOPICS = Topics("ns")
SOURCE = "shop.orders"
SETTINGS = SubscriberSettings(look_s=0.01, stop_timeout_s=1.0, backoff_s=0.002, backoff_max_s=0.02)
SECONDS = 20


class DyingLog(MemoryLog):
    """Dies before its `dies_at`-th step, counting calls and returns of everything that a feed asks."""

    dies_at = 0
    steps = 0
    before_open = None  # awaited once, before the first writer of a feed is opened

    def step(self):
        self.steps += 1
        if self.dies_at and self.steps >= self.dies_at:
            self.crash()
        self.check_open()

    async def join(self, group, topics, listener):
        return _Membership(self, await super().join(group, topics, listener))

    async def open_writer(self, transactional_id):
        self.step()
        before, self.before_open = self.before_open, None
        if before is not None:
            await before(transactional_id)
        writer = await super().open_writer(transactional_id)
        self.step()
        return _Writer(self, writer)


class _Membership(Membership):
    def __init__(self, log, inner):
        self.log, self.inner = log, inner

    def reader(self, topic, partition):
        return _Reader(self.log, self.inner.reader(topic, partition))

    async def leave(self):
        await self.inner.leave()


class _Reader(Reader):
    def __init__(self, log, inner):
        self.log, self.inner = log, inner

    async def read(self, max_records):
        self.log.step()
        records = await self.inner.read(max_records)
        self.log.step()
        return records

    def wake(self):
        self.inner.wake()

    @property
    def position(self):
        return self.inner.position

    def seek(self, offset):
        self.inner.seek(offset)

    async def committed(self):
        self.log.step()
        return await self.inner.committed()

    async def commit(self, offset, metadata="", *, lazy=False):
        raise AssertionError("a position is stored with what was written up to there, and not otherwise")


class _Writer(Writer):
    def __init__(self, log, inner):
        self.log, self.inner = log, inner

    async def commit(self, records, *, consumed=None):
        self.log.step()
        last = await self.inner.commit(records, consumed=consumed)
        self.log.step()
        return last

    async def close(self):
        await self.inner.close()


class World:
    def __init__(self):
        self.broker = MemoryBroker(SystemClock())
        self.log = MemoryLog(self.broker)
        self.sent = []
        self.processes = []

    async def open(self, source=2):
        names = {TOPICS.instances: 3, TOPICS.dead_letters: 3, TOPICS.subscriptions: 1}
        if source:
            names[SOURCE] = source
        await self.log.create_topics([TopicSpec(*each) for each in names.items()])
        return self

    async def close(self):
        for log, service in self.processes:
            if not log.closed:
                await service.stop()
                await log.close()
        await self.log.close()

    async def add(self, *subscriptions, **options):
        return await add(self.log, TOPICS, subscriptions or [subscribed()], **options)

    async def send(self, count, partitions=2, **fields):
        """Orders; each fifth is garbage. What has to become of each is known by its place."""
        for _ in range(count):
            number = len(self.sent)
            partition = number % partitions
            value = b"garbage" if number % 5 == 4 else json.dumps({"id": str(number), **fields}).encode()
            await self.log.append([Outgoing(SOURCE, partition, b"k", value)])
            _, end = await self.log.bounds(SOURCE, partition)
            self.sent.append((f"{SOURCE}/{partition}/{end - 1}", value))

    def process(self, *, dies_at=0, registry=None):
        log = DyingLog(self.broker, f"subscriber-{len(self.processes)}")
        log.dies_at = dies_at
        service = SubscriberService(log=log, topics=TOPICS, registry=registry, settings=SETTINGS)
        self.processes.append((log, service))
        return log, service

    async def up(self, **options):
        _, service = self.process(**options)
        await service.start()
        return service

    async def commands(self):
        """(instance id, command) in each partition's order."""
        return [
            (record.key.decode(), decode(record.value))
            for number in range(3)
            for record in await self.log.fetch(TOPICS.instances, number, 0, 100_000)
        ]

    async def letters(self):
        """The headers of each dead letter."""
        return [
            {name: value.decode() for name, value in record.headers}
            for number in range(3)
            for record in await self.log.fetch(TOPICS.dead_letters, number, 0, 100_000)
        ]

    async def written(self):
        """How often each message was written, by its place."""
        places = Counter(command.command_id.removeprefix("sub/orders/") for _, command in await self.commands())
        places.update(each["perdure-origin"] for each in await self.letters())
        return places

    async def all_written(self):
        """When each message that was sent was written once, to where it belongs."""
        await until(self._each_once)
        good = {place for place, value in self.sent if value != b"garbage"}
        assert {command.command_id.removeprefix("sub/orders/") for _, command in await self.commands()} == good

    async def _each_once(self):
        written = await self.written()
        assert max(written.values(), default=0) <= 1, written.most_common(3)
        return set(written) == {place for place, _ in self.sent}


async def until(fact):
    """Wait for a fact, which may have to be awaited."""
    async with asyncio.timeout(SECONDS):
        while True:
            value = fact()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.001)


async def is_dead(log, service):
    """Whether the process has died; then what is left of it is ended."""
    if log.closed:
        await service.abandon()
    return log.closed
