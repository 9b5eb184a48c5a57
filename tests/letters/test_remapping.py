"""A subscription's letter is replayed by mapping its message again, under the subscription as it is by then."""

from __future__ import annotations

import pytest

from perdure.codec.avro import decode
from perdure.core.commands import StartWorkflow
from perdure.core.names import partition_of
from perdure.ports.log import TopicSpec
from perdure.roles.subscriptions.mapping import Misfit, command_id_of, dead_letter_of, mapped
from perdure.roles.subscriptions.register import add, remove
from tests.letters.world import PARTITIONS, TOPICS
from tests.roles.subscriptions.messages import message, subscribed


@pytest.fixture
async def shop(w):
    """With a subscription whose `instance_id` does not fit its messages."""
    await w.log.create_topics([TopicSpec(TOPICS.subscriptions, 1), TopicSpec("shop.orders", 1)])
    await add(w.log, TOPICS, [subscribed(instance_id="value.number")])
    return w


async def bury(w, value, subscription=None):
    record = message(value, partition=0, offset=41)
    with pytest.raises(Misfit) as misfit:
        mapped(record, subscription or subscribed(instance_id="value.number"))
    out = dead_letter_of(record, "orders", str(misfit.value), TOPICS.dead_letters, PARTITIONS)
    return record, await w.write(out)


async def test_it_becomes_the_command_that_it_would_have_been_once_the_subscription_is_corrected(shop):
    record, letter = await bury(shop, {"id": "o-7", "number": 7})
    refused = await shop.replay(letter)
    assert refused[0].reason == "NotReplayable"
    assert "instance_id gave 7, not text" in refused[0].message
    assert not await shop.marks()
    await add(shop.log, TOPICS, [subscribed(instance_id="value.id")])
    assert (await shop.replay(letter, request="second"))[0].state == "replayed"
    ((partition, key, value, headers),) = await shop.sent()
    command = decode(value)
    assert (partition, key) == (partition_of("o-7", PARTITIONS), b"o-7")
    assert type(command) is StartWorkflow
    assert command.command_id == command_id_of("orders", record)
    assert headers["perdure-replay-of"] == letter.encode()
    assert (await shop.replay(letter, request="third"))[0].reason == "LetterSettled"
    assert len(await shop.sent()) == 1


async def test_without_its_subscription_or_where_that_passes_it_over_it_says_so(shop):
    _, letter = await bury(shop, {"id": "o-7", "number": 7})
    await add(shop.log, TOPICS, [subscribed(instance_id="value.id", when="value.number > `9`")])
    assert "passes it over" in (await shop.replay(letter))[0].message
    await remove(shop.log, TOPICS, "orders")
    assert "no subscription 'orders' of the topic shop.orders" in (await shop.replay(letter))[0].message
    assert (await shop.drop(letter))[0].state == "dropped"


async def test_one_whose_schema_is_in_a_registry_says_so_where_none_is_known(shop):
    await add(shop.log, TOPICS, [subscribed(format="avro")])
    record = message(b"\x00\x00\x00\x00\x05\x02a", partition=0, offset=3)
    letter = await shop.write(dead_letter_of(record, "orders", "value has no schema", TOPICS.dead_letters, PARTITIONS))
    assert "PERDURE_SCHEMA_REGISTRY" in (await shop.replay(letter))[0].message
