"""What a scaler sees of an activity worker's group: the end of the topic less the stored position."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from perdure.adapters.kafka import KafkaLog
from perdure.adapters.system import SystemClock
from perdure.codec.avro import encode
from perdure.core.effects import ActivityTask
from perdure.core.names import Topics
from perdure.ports.log import Outgoing, TopicSpec
from perdure.roles.activities import ActivitySettings, ActivityWorker, InlineSlots
from perdure.services.backlog import Backlog
from perdure.workflow.app import App
from tests.conformance.facts import until
from tests.integration.kafka.clusters import delete_topics, settings_for


class Lagging:
    """A namespace with one partition of everything, and tasks that a transaction put there."""

    def __init__(self, address, namespace):
        self.address = address
        self.settings = settings_for(address)
        self.topics = Topics(namespace)
        self.group = f"{namespace}.activity-worker"
        self.place = TopicPartition(self.topics.activities(), 0)
        self.runs = 0

    async def open(self):
        self.log = KafkaLog(self.settings)
        topics = self.topics
        names = (topics.instances, topics.timers, topics.activities(), topics.dead_letters)
        await self.log.create_topics([TopicSpec(name, 1) for name in names])
        self.outside = AIOKafkaConsumer(bootstrap_servers=self.address, group_id=self.group, enable_auto_commit=False)
        await self.outside.start()
        return self

    async def close(self):
        await self.outside.stop()
        await self.log.close()
        await delete_topics(self.address, self.topics.namespace)

    async def ask(self, *numbers):
        writer = await self.log.open_writer(f"{self.topics.namespace}.asking")
        tasks = [ActivityTask(f"1.0.{n}", 0, n, 1, "count", "flow", "", 0) for n in numbers]
        await writer.commit([Outgoing(self.place.topic, 0, b"i%d" % task.task_id, encode(task)) for task in tasks])
        await writer.close()

    async def work(self):
        app = App()

        @app.activity(name="count")
        def count(ctx, value):
            self.runs += 1

        worker = ActivityWorker(
            app=app, log=self.log, clock=SystemClock(), topics=self.topics, slots=InlineSlots(),
            settings=ActivitySettings(tidy_s=0.2),
        )  # fmt: skip
        await worker.start()
        return worker

    async def lag(self):
        """As KEDA reckons it: nothing stored counts from the start."""
        stored = await self.outside.committed(self.place)
        return (await self.outside.end_offsets([self.place]))[self.place] - (stored or 0)


async def test_an_idle_workers_lag_is_0_though_a_transactions_end_is_the_last_in_its_topic(kafka_address, namespace):
    world = await Lagging(kafka_address, namespace).open()
    try:
        await world.ask(1, 2)
        assert await world.lag() == 3  # two tasks, and what ended their transaction
        worker = await world.work()
        await until(lambda: world.runs == 2)
        await _until_none(world)
        await worker.stop()
    finally:
        await world.close()


async def test_a_lag_of_nothing_but_a_transactions_end_is_gone_once_a_worker_looks(kafka_address, namespace):
    world = await Lagging(kafka_address, namespace).open()
    try:
        await world.ask(1, 2)
        world.outside.assign([world.place])
        await world.outside.commit({world.place: 2})
        assert await world.lag() == 1
        worker = await world.work()
        await _until_none(world)
        assert world.runs == 0
        await worker.stop()
    finally:
        await world.close()


async def _until_none(world):
    async with asyncio.timeout(20):
        while await world.lag():
            await asyncio.sleep(0.05)


async def test_what_waits_is_told_without_a_worker_and_is_nothing_once_one_has_drained_it(kafka_address, namespace):
    """As orchestrators tell it: the ends of transactions are lag until a worker stores a position behind them."""
    world = await Lagging(kafka_address, namespace).open()
    try:
        backlog = Backlog(world.log, world.topics, world.log.groups)
        await world.log.create_topics([TopicSpec(world.topics.activities("mail"), 3)])
        assert await _told(backlog) == {
            ("lag", ""): 0,
            ("members", ""): 0,
            ("lag", ".mail"): 0,
            ("members", ".mail"): 0,
        }
        await world.ask(1, 2)
        assert await _told(backlog) == {
            ("lag", ""): 3,
            ("members", ""): 0,
            ("lag", ".mail"): 0,
            ("members", ".mail"): 0,
        }
        world.outside.assign([world.place])
        await world.outside.commit({world.place: 2})
        assert (await _told(backlog))["lag", ""] == 1  # what ended the transaction
        await world.ask(3)
        assert (await _told(backlog))["lag", ""] == 3
        worker = await world.work()
        await until(lambda: world.runs == 1)
        async with asyncio.timeout(20):
            while (await _told(backlog))["lag", ""]:
                await asyncio.sleep(0.05)
        assert (await _told(backlog))["members", ""] == 1
        await worker.stop()
        assert await _told(backlog) == {
            ("lag", ""): 0,
            ("members", ""): 0,
            ("lag", ".mail"): 0,
            ("members", ".mail"): 0,
        }
    finally:
        await world.close()


async def test_ends_of_many_partitions_are_asked_for_in_one_request(kafka_address, namespace, monkeypatch):
    sent = []
    log = KafkaLog(settings_for(kafka_address))
    try:
        topics = [f"{namespace}.{name}" for name in ("a", "b")]
        await log.create_topics([TopicSpec(name, 10) for name in topics])
        client = await log._connection.client()
        send = client.send

        async def noted(node, request, **more):
            sent.append(type(request).__name__)
            return await send(node, request, **more)

        await log.groups.bounds(topics)  # their leaders are there
        monkeypatch.setattr(client, "send", noted)
        bounds = await log.groups.bounds(topics)
        assert bounds == {(name, number): (0, 0) for name in topics for number in range(10)}
        assert sent.count("OffsetRequest") == 2  # where they begin, and where they end; there is one broker
    finally:
        await log.close()
        await delete_topics(kafka_address, namespace)


async def _told(backlog):
    """Of the kind, and of the queue as the group's name has it."""
    backlog._looked = -float("inf")
    return {
        (each.name.split("_")[2], each.labels[0].partition(".activity-worker")[2]): each.value
        for each in await backlog.samples()
    }
