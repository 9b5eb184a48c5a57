"""The subscriber as a process: what it needs at its start, what its probes tell, and that it begins again when it hangs."""

import asyncio
import json

import pytest

from perdure.cli.exits import Unusable
from perdure.codec.avro import decode
from perdure.ports.log import Outgoing, TopicSpec
from perdure.roles.subscriptions.register import add, read_register
from perdure.roles.subscriptions.subscription import subscription_of
from perdure.services.process import run_service
from perdure.services.settings import ServiceSettings, SettingsWrong
from tests.services.test_lives import STALL, Hanging, until
from tests.services.worlds import SECONDS, TOPICS, asked

FIELDS = {"topic": "numbers", "workflow": "doubled", "instance_id": "key"}
FILE = '[subscriptions.{}]\ntopic = "numbers"\nworkflow = "doubled"\ninstance_id = "key"\n'


async def probed(world, part):
    """Until /readyz says this."""
    async with asyncio.timeout(SECONDS):
        while part not in (text := (await asked(world.told["subscriber"]["probes"], "/readyz")).text):
            await asyncio.sleep(0.01)
    return text


async def starts(world):
    found = [record for number in range(2) for record in await world.ports.log.fetch(TOPICS.instances, number, 0, 100)]
    return sorted((record.key, decode(record.value).input) for record in found)


async def started(world, count):
    async with asyncio.timeout(SECONDS):
        while len(found := await starts(world)) < count:
            await asyncio.sleep(0.01)
    return found


async def test_it_is_not_ready_while_a_topic_is_not_there_and_goes_on_when_it_is(world):
    await add(world.ports.log, TOPICS, [subscription_of("s", FIELDS)])
    await world.up("subscriber")
    told = await probed(world, "does not exist")
    assert told == "subscription s: topic numbers does not exist, or may not be read: it waits for it\n"
    await world.ports.log.create_topics([TopicSpec("numbers", 3)])
    await probed(world, "ready\n")
    await world.ports.log.append([Outgoing("numbers", 2, b"n1", b"21")])
    assert await started(world, 1) == [(b"n1", "21")]


async def test_a_namespace_from_before_subscriptions_is_told_to_be_bootstrapped_again(world):
    del world.ports.log.broker._topics[TOPICS.subscriptions]
    with pytest.raises(Unusable, match="`perdure bootstrap`, run again, makes what is missing"):
        await world.up("subscriber")


async def test_a_file_is_followed_at_each_start(world, tmp_path):
    file = tmp_path / "subscriptions.toml"
    await world.ports.log.create_topics([TopicSpec("numbers", 1)])
    await add(world.ports.log, TOPICS, [subscription_of("by-hand", FIELDS)])
    world.settings = ServiceSettings(health_port=0, subscriptions=file)
    for names, there in ((("a", "b"), ["a", "b", "by-hand"]), (("b",), ["b", "by-hand"])):
        file.write_text("".join(map(FILE.format, names)), encoding="utf-8")
        process = await world.up("subscriber")
        await probed(world, "ready\n")
        assert sorted((await read_register(world.ports.log, TOPICS)).declared) == there
        process.stop()
        await asyncio.wait_for(process.ending, SECONDS)


def test_a_file_that_is_wrong_ends_it_before_anything_is_connected(environment, tmp_path):
    file = tmp_path / "subscriptions.toml"
    environment.setenv("PERDURE_SUBSCRIPTIONS", str(file))
    for text, told in (
        (None, "cannot be read"),
        ("[", "subscriptions.toml: "),
        (FILE.format("a b"), "its name has 1 to 64"),
    ):
        if text is not None:
            file.write_text(text.replace("a b", '"a b"'), encoding="utf-8")
        with pytest.raises(SettingsWrong, match=r"PERDURE_SUBSCRIPTIONS: .*") as raised:
            run_service("subscriber", "", json.dumps)
        assert told in str(raised.value)


async def test_one_whose_reader_hangs_begins_again_and_writes_what_came_meanwhile_once(world):
    await world.ports.log.create_topics([TopicSpec("numbers", 1)])
    await add(world.ports.log, TOPICS, [subscription_of("s", FIELDS)])
    world.settings = ServiceSettings(health_port=0, stall_seconds=STALL)
    ways = Hanging(world)
    process = await world.up("subscriber", open_ports=ways)
    await world.ports.log.append([Outgoing("numbers", 0, b"n1", b"1")])
    assert await started(world, 1) == [(b"n1", "1")]
    owner = process.role.owner
    ways.logs[0].hang()
    await world.ports.log.append([Outgoing("numbers", 0, b"n2", b"2")])
    await until(lambda: process.role.owner != owner, "another life")
    assert await started(world, 2) == [(b"n1", "1"), (b"n2", "2")]
    await probed(world, "ready\n")
