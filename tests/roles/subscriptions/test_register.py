"""Which subscriptions there are: changes one after the other, a file that is followed, and what depends on `since`."""

import asyncio

import pytest

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.adapters.system import SystemClock
from perdure.core.limits import SUBSCRIPTIONS_MAX
from perdure.ports.errors import TopicMissing
from perdure.roles.subscriptions import SubscriptionWrong
from perdure.roles.subscriptions.register import SubscriptionUnknown, add, follow_file, read_register, remove
from tests.roles.subscriptions.messages import subscribed
from tests.roles.subscriptions.world import SOURCE, TOPICS


async def known(world):
    return (await read_register(world.log, TOPICS)).declared


async def test_now_is_fixed_as_the_ends_of_each_partition(world):
    await world.send(5)
    changes = await world.add(
        subscribed(), subscribed("all", begin="beginning"), subscribed("later", topic="not.there")
    )
    assert list(changes.added) == ["orders", "all", "later"]
    found = await known(world)
    assert dict(found["orders"].begins) == {0: 3, 1: 2}
    assert dict(found["all"].begins) == dict(found["later"].begins) == {}
    assert len({each.since for each in found.values()}) == 3


async def test_one_that_is_changed_keeps_its_place_and_one_of_another_topic_does_not(world):
    await world.add()
    before = (await known(world))["orders"]
    await world.send(4)
    assert list((await world.add()).unchanged) == ["orders"]
    assert list((await world.add(subscribed(when="value.a"))).changed) == ["orders"]
    changed = (await known(world))["orders"]
    assert changed.same_place(before)
    assert (changed.begins, changed.subscription.when.text) == (before.begins, "value.a")
    await world.add(subscribed(topic="another"))
    assert not (await known(world))["orders"].same_place(before)
    await world.add()
    assert not (await known(world))["orders"].same_place(before)


async def test_what_was_added_at_once_by_many_is_all_there_and_was_added_once(world):
    names = [f"s{number}" for number in range(8)]
    clients = [MemoryLog(world.broker, name) for name in names]
    told = await asyncio.gather(
        *(add(log, TOPICS, [subscribed(name), subscribed("shared")]) for log, name in zip(clients, names, strict=True))
    )
    assert sorted(await known(world)) == sorted([*names, "shared"])
    assert sum("shared" in each.added for each in told) == 1
    records = await world.log.fetch(TOPICS.subscriptions, 0, 0, 1_000)
    assert [record.key for record in records].count(b"shared") == 1


async def test_a_file_takes_away_what_a_file_brought_and_nothing_else(world):
    await world.add(subscribed("by-hand"))
    first = await follow_file(world.log, TOPICS, [subscribed("a"), subscribed("b")])
    assert (first.added, first.removed) == (["a", "b"], [])
    again = await follow_file(world.log, TOPICS, [subscribed("b"), subscribed("by-hand", when="value.x")])
    assert (again.removed, again.unchanged, again.changed) == (["a"], ["b"], ["by-hand"])
    assert sorted(await known(world)) == ["b", "by-hand"]
    assert (await follow_file(world.log, TOPICS, [])).removed == ["b", "by-hand"]
    await follow_file(world.log, TOPICS, [subscribed("c")])
    await world.add(subscribed("c"))
    assert (await follow_file(world.log, TOPICS, [])).removed == [], "the command has taken it over"


async def test_removing_what_is_not_there_tells_what_is(world):
    await world.add()
    with pytest.raises(SubscriptionUnknown, match="no subscription 'order'; there are: orders"):
        await remove(world.log, TOPICS, "order")
    await remove(world.log, TOPICS, "orders")
    assert await known(world) == {}
    with pytest.raises(SubscriptionUnknown, match="there are: none"):
        await remove(world.log, TOPICS, "orders")


async def test_there_are_so_many_and_no_more_and_those_can_still_be_changed(world):
    await world.add(*(subscribed(f"s{number}") for number in range(SUBSCRIPTIONS_MAX)))
    with pytest.raises(SubscriptionWrong, match="there would be 101 subscriptions"):
        await world.add(subscribed("more"))
    assert list((await world.add(subscribed("s0", when="value.a"))).changed) == ["s0"]


async def test_a_namespace_from_before_subscriptions_is_told_to_be_bootstrapped_again():
    log = MemoryLog(MemoryBroker(SystemClock()))
    for asked in (read_register(log, TOPICS), add(log, TOPICS, [subscribed()]), remove(log, TOPICS, "a")):
        with pytest.raises(TopicMissing, match="`perdure bootstrap`, run again, makes what is missing"):
            await asked
    await log.close()


async def test_what_is_written_for_a_subscription_is_read_as_it_was(world):
    given = subscribed(
        format="avro", schema='{"type": "record", "name": "o", "fields": [{"name": "id", "type": "string"}]}'
    )
    await world.add(given)
    found = (await known(world))["orders"]
    assert (found.subscription, found.subscription.topic) == (given, SOURCE)
