"""A subscriber at work: where it begins, what it waits for, and what reaches it while it runs."""

import asyncio
import io
import json

import fastavro

from perdure.ports.errors import LogUnavailable
from perdure.ports.log import Outgoing, TopicSpec
from perdure.ports.registry import RegistryUnavailable, SchemaRegistry, SchemaUnknown
from perdure.roles.subscriptions.register import remove
from tests.roles.subscriptions.messages import subscribed
from tests.roles.subscriptions.world import SOURCE, TOPICS, World, until


async def ids(world):
    return {name for name, _ in await world.commands()}


async def order(world, name, topic=SOURCE, partition=0, **fields):
    await world.log.append([Outgoing(topic, partition, b"k", json.dumps({"id": name, **fields}).encode())])


async def test_it_begins_with_what_comes_after_it_was_added(world):
    await order(world, "before")
    await world.add()
    await order(world, "between")
    await world.up()
    await order(world, "after")
    await until(lambda: _has(world, "order-after"))
    assert await ids(world) == {"order-between", "order-after"}


async def _has(world, name):
    return name in await ids(world)


async def test_it_begins_at_the_beginning_where_that_is_said(world):
    await order(world, "before")
    await world.add(subscribed(begin="beginning"))
    await world.up()
    await until(lambda: _has(world, "order-before"))


async def test_a_group_is_joined_whatever_kept_it_from_that_before(world):
    await world.add()
    log, service = world.process()
    join, troubles = log.join, [RuntimeError("no token")]

    async def at_last(*given):
        if troubles:
            raise troubles.pop()
        return await join(*given)

    log.join = at_last
    await service.start()
    await order(world, "late")
    await until(lambda: _has(world, "order-late"))
    assert not troubles


async def test_a_topic_that_is_not_there_is_named_and_read_when_it_comes_with_any_partitions():
    world = await World().open(source=0)
    try:
        await world.add()
        service = await world.up()
        await until(lambda: "does not exist" in service.trouble)
        assert service.trouble.startswith(f"subscription orders: topic {SOURCE} does not exist, or may not be read")
        await world.log.create_topics([TopicSpec(SOURCE, 7)])
        await until(lambda: service.trouble == "")
        await order(world, "seven", partition=6)
        await until(lambda: _has(world, "order-seven"))
    finally:
        await world.close()


async def test_what_is_added_changed_and_removed_reaches_a_running_subscriber(world):
    service = await world.up()
    await world.add()
    await until(lambda: "orders" in service.subscribers)
    await order(world, "a")
    await until(lambda: _has(world, "order-a"))
    feeds = service.subscribers["orders"].feeds
    await world.add(subscribed(instance_id="join('-', ['changed', value.id])"))
    await until(
        lambda: service.subscribers["orders"].declared.subscription.instance_id.text.startswith("join('-', ['changed")
    )
    await order(world, "b")
    await until(lambda: _has(world, "changed-b"))
    assert service.subscribers["orders"].feeds is feeds, "it goes on where it stands"
    await remove(world.log, TOPICS, "orders")
    await until(lambda: not service.subscribers)
    await order(world, "c")
    await world.add(subscribed("others", workflow="", event="e"))
    await until(lambda: "others" in service.subscribers)
    await order(world, "d")
    await until(lambda: _has(world, "order-d"))
    assert await ids(world) == {"order-a", "changed-b", "order-d"}


async def test_one_that_is_removed_and_added_again_begins_anew_and_not_where_it_stood(world):
    await world.add()
    service = await world.up()
    await order(world, "a")
    await until(lambda: _has(world, "order-a"))
    await remove(world.log, TOPICS, "orders")
    await until(lambda: not service.subscribers)
    await order(world, "meanwhile")
    await world.add()
    await order(world, "b")
    await until(lambda: _has(world, "order-b"))
    assert await ids(world) == {"order-a", "order-b"}


async def test_one_that_is_added_again_from_the_beginning_takes_everything_again(world):
    await order(world, "before")
    await world.add(subscribed(begin="beginning"))
    service = await world.up()
    await until(lambda: _has(world, "order-before"))
    await remove(world.log, TOPICS, "orders")
    await until(lambda: not service.subscribers)
    await world.add(subscribed(begin="beginning"))
    await order(world, "after")
    await until(lambda: _has(world, "order-after"))
    commands = [(name, command.command_id) for name, command in await world.commands()]
    assert [name for name, _ in commands].count("order-before") == 2
    assert len(set(commands)) == 2, "and with the same command_ids"


async def test_two_subscriptions_of_one_topic_do_not_disturb_each_other(world):
    await world.add(subscribed(), subscribed("audit", workflow="audit", instance_id="join('-', ['audit', value.id])"))
    service = await world.up()
    await order(world, "a")
    await until(lambda: _has(world, "order-a"))
    await until(lambda: _has(world, "audit-a"))
    assert {place: len(feeds) for place, feeds in service.feeds.items()} == {(SOURCE, 0): 2, (SOURCE, 1): 2}
    assert (service.stats.started["orders"], service.stats.started["audit"]) == (1, 1)


async def test_a_subscription_that_cannot_be_read_is_named_and_the_others_are_served(world):
    await world.log.append([Outgoing(TOPICS.subscriptions, 0, b"newer", b'{"form": 9}')])
    await world.log.append([Outgoing(TOPICS.subscriptions, 0, b"\xff", b"garbage")])
    await world.add()
    service = await world.up()
    await order(world, "a")
    await until(lambda: _has(world, "order-a"))
    assert "subscription 'newer' cannot be read (KeyError" in service.trouble
    await remove(world.log, TOPICS, "newer")
    await until(lambda: "newer" not in service.trouble)


async def test_messages_that_were_deleted_before_they_were_read_are_counted_and_it_goes_on(world):
    await world.add()
    for name in "abc":
        await order(world, name)
    await world.log.delete_before(SOURCE, 0, 2)
    service = await world.up()
    await until(lambda: _has(world, "order-c"))
    assert await ids(world) == {"order-c"}
    assert service.stats.missed == 2


async def test_a_topic_that_was_made_anew_is_not_taken_for_the_one_it_was(world):
    await world.add()
    service = await world.up()
    for name in "abc":
        await order(world, name)
    await until(lambda: _has(world, "order-c"))
    await service.stop()
    del world.broker._topics[SOURCE]
    await world.log.create_topics([TopicSpec(SOURCE, 2)])
    await order(world, "z")
    again = await world.up()
    await until(lambda: "it was made anew" in again.trouble)
    assert "under another name" in again.trouble
    assert not await _has(world, "order-z")


class Registry(SchemaRegistry):
    def __init__(self):
        self.asked = []
        self.away = True

    async def schema(self, schema_id):
        self.asked.append(schema_id)
        if self.away:
            raise RegistryUnavailable("the registry does not answer")
        if schema_id != 7:
            raise SchemaUnknown(f"no schema {schema_id}")
        return {"type": "record", "name": "order", "fields": [{"name": "id", "type": "string"}]}

    async def close(self):
        """Nothing."""


def avro(schema_id, name):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "string", name)
    return b"\x00" + schema_id.to_bytes(4, "big") + out.getvalue()


async def test_a_registry_that_is_away_is_waited_for_and_one_that_does_not_know_a_schema_is_believed(world):
    registry = Registry()
    await world.add(subscribed(format="avro"))
    service = await world.up(registry=registry)
    for value in (avro(7, "a"), avro(8, "b"), avro(7, "c"), b"{}", avro(7, "d")[:-1]):
        await world.log.append([Outgoing(SOURCE, 0, b"k", value)])
    await until(lambda: "the registry does not answer" in service.trouble)
    assert await world.commands() == await world.letters() == []
    registry.away = False
    await until(lambda: service.stats.dead_letters == 3)
    assert await ids(world) == {"order-a", "order-c"}
    reasons = [each["perdure-reason"] for each in await world.letters()]
    for reason, part in zip(reasons, ("no schema 8", "not with 00", "does not fit its Avro schema"), strict=True):
        assert part in reason
    assert registry.asked.count(7) <= 1 + registry.asked.index(7) + len(registry.asked) - 2
    assert service.trouble == ""


async def test_avro_without_a_registry_waits_for_the_setting_instead_of_burying_a_topic(world):
    await world.add(subscribed(format="avro"))
    service = await world.up()
    await world.log.append([Outgoing(SOURCE, 0, b"k", avro(7, "a"))])
    await until(lambda: "set PERDURE_SCHEMA_REGISTRY" in service.trouble)
    assert await world.letters() == []


async def test_a_log_that_does_not_answer_is_told_and_waited_for(world, monkeypatch):
    await world.add()
    service = await world.up()
    log, _ = world.processes[-1]
    whole = log.bounds

    async def away(topic, partition):
        raise LogUnavailable("Kafka cannot be used")

    monkeypatch.setattr(log, "bounds", away)
    await until(lambda: "Kafka cannot be used" in service.trouble)
    monkeypatch.setattr(log, "bounds", whole)
    await until(lambda: service.trouble == "")
    await order(world, "a")
    await until(lambda: _has(world, "order-a"))


async def test_stopping_twice_or_before_it_joined_is_harmless():
    world = await World().open(source=0)
    await world.add()
    service = await world.up()
    await asyncio.gather(service.stop(), service.stop())
    await service.stop()
    await service.abandon()
    await world.close()
