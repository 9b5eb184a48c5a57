"""A cluster with activity workers, and what a test says and sees."""

import asyncio
from collections import defaultdict

from perdure.adapters.memory import MemoryBroker
from perdure.codec.avro import decode, encode
from perdure.core.effects import ActivityTask
from perdure.core.names import Topics
from perdure.ports.log import Outgoing, TopicSpec
from perdure.roles.activities import ActivitySettings, ActivityWorker, InlineSlots
from perdure.workflow.app import App
from tests.roles.timers.virtual import VirtualClock
from tests.roles.timers.world import CountingLog, until

__all__ = ["World", "until"]


class World:
    def __init__(self, partitions=1, settings=None, **given):
        self.app = App()
        self.clock = VirtualClock()
        self.broker = MemoryBroker(self.clock)
        self.topics = Topics("t")
        self.settings = settings or ActivitySettings()
        self.partitions = partitions
        self.given = given
        self.log = CountingLog(self.broker, "test")
        self.workers = []
        self.runs = defaultdict(int)
        self.running = 0
        self.running_max = 0
        self.gate = asyncio.Event()
        self.app.add_activity(self._echo, name="echo")
        self.app.add_activity(self._wait, name="wait")

    def _echo(self, ctx, value):
        self.runs[ctx.workflow_id] += 1
        return value

    async def _wait(self, ctx, value):
        self.runs[ctx.workflow_id] += 1
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return value

    async def open(self):
        names = (self.topics.instances, self.topics.timers, self.topics.activities(), self.topics.dead_letters)
        await self.log.create_topics([TopicSpec(name, self.partitions) for name in names])
        return self

    async def start(self, app=None, slots=None, settings=None, **given):
        log = CountingLog(self.broker, f"worker-{len(self.workers)}")
        worker = ActivityWorker(
            app=app or self.app,
            log=log,
            clock=self.clock,
            topics=self.topics,
            slots=slots or InlineSlots(),
            settings=settings or self.settings,
            **(self.given | given),
        )
        worker.log = log
        self.workers.append(worker)
        await worker.start()
        return worker

    async def crash(self, worker):
        worker.log.crash()
        await worker.abandon()
        await asyncio.sleep(0.001)

    def task(self, n, name="echo", text="", partition=0, attempt=1, timeout_s=0.0):
        task = ActivityTask(f"1.{partition}.{n}", 0, n, attempt, name, "flow", text, int(timeout_s * 1e6))
        return Outgoing(self.topics.activities(), partition, b"i%d" % n, encode(task))

    async def ask(self, n, name="echo", text="", **given):
        await self.log.append([self.task(n, name, text, **given)])

    async def read(self, topic):
        """(number in the key, message) of every record."""
        found = []
        for partition in range(self.partitions):
            records = await self.log.fetch(topic, partition, 0, 100_000)
            found += [(int(record.key[1:]), decode(record.value)) for record in records]
        return found

    async def results(self):
        return await self.read(self.topics.instances)

    async def result(self, n, deadline_s=60.0):
        async def there():
            return [message for key, message in await self.results() if key == n]

        found = await until(there, deadline_s)
        assert len(found) == 1, found
        return found[0]

    async def leases(self):
        return await self.read(self.topics.timers)

    def committed(self, partition=0):
        return self.broker.committed("t.activity-worker", self.topics.activities(), partition)
