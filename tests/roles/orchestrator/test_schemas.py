"""Commands whose writers' schemas have to be asked for: they wait in the order of the log, and nobody else does."""

import asyncio
import dataclasses
import json

from perdure.codec.avro import encode
from perdure.core.commands import InspectInstance, RaiseEvent, StartWorkflow
from perdure.core.limits import REGISTRY_REFUSAL_SECONDS, SCHEMAS_ASKED_MAX, UNDECIDED_OFFSETS_MAX
from perdure.core.names import partition_of
from perdure.ports.log import Outgoing
from tests.codec.framing import JSON_HEADERS, as_json, framed, source_of

from .registries import FakeRegistry
from .world import World, run_virtually, until

START, RAISE = source_of(StartWorkflow("x")), source_of(RaiseEvent("x"))
SCHEMAS = {1: START, 2: RAISE}


def confluent(world, instance_id, command, schema_id=None, headers=(), partition=None):
    number = schema_id or {StartWorkflow: 1, RaiseEvent: 2}[type(command)]
    value = framed(number, source_of(command), dataclasses.asdict(command))
    home = partition_of(instance_id, world.partitions) if partition is None else partition
    return Outgoing(world.topics.instances, home, instance_id.encode(), value, headers)


def number(value):
    return RaiseEvent("e", json.dumps(value))


def reasons(world):
    return [headers["perdure-reason"] for _, _, headers in world.dead_letters()]


async def settled(world):
    """Everything that can happen without the registry has happened."""
    await world.ask("bystander", InspectInstance("", "", "now"))


def test_a_command_waits_for_its_schema_and_what_comes_after_it_for_the_instance_waits_behind():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            registry.gate.clear()
            await world.node(registry=registry)
            records = [
                confluent(world, "a", StartWorkflow("collector", "4")),
                world.out("a", number(1)),
                Outgoing(world.topics.instances, 0, b"a", as_json(number(2)), JSON_HEADERS),
                confluent(world, "a", number(3)),
                world.out("a", number(4)),
            ]
            await world.log.append(records)
            await world.start("collector", 1, "other")
            await world.send("other", number(9))
            await world.ended("other")
            assert not world.instance("a").run
            registry.gate.set()
            await world.ended("a")
            assert world.output("a") == [1, 2, 3, 4]
            assert sorted(registry.asked) == [1, 2]
            await world.log.append(
                [confluent(world, "b", StartWorkflow("collector", "1")), confluent(world, "b", number(5))]
            )
            await world.ended("b")
            assert sorted(registry.asked) == [1, 2], "what is known was asked for again"
            assert world.dead_letters() == []
            await world.check()

    run_virtually(day())


def test_a_question_about_an_instance_whose_start_waits_is_answered_after_it():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            registry.gate.clear()
            await world.node(registry=registry)
            await world.log.append([confluent(world, "a", StartWorkflow("collector", "1"))])
            asked = asyncio.create_task(world.inspect("a"))
            await settled(world)
            assert not asked.done()
            registry.gate.set()
            reply = await asked
            assert (reply.accepted, reply.snapshot.status) == (True, "RUNNING")

    run_virtually(day())


def test_the_next_owner_reads_again_what_its_predecessor_held():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            registry.gate.clear()
            first = await world.node(registry=registry)
            await world.log.append(
                [
                    confluent(world, "a", StartWorkflow("collector", "3")),
                    world.out("a", number(1)),
                    world.out("a", number(2)),
                ]
            )
            await world.start("collector", 1, "other")
            await world.send("other", number(9))
            await world.ended("other")
            assert world.sight.look().markers[0].undecided == [0, 1, 2]
            first.crash()
            registry.gate.set()
            await world.node(registry=registry)
            await world.log.append([confluent(world, "a", number(3))])
            await world.ended("a")
            assert world.output("a") == [1, 2, 3]
            await world.check()

    run_virtually(day())


def test_an_owner_that_leaves_and_comes_back_while_it_waits_loses_nothing_and_repeats_nothing():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            registry.gate.clear()
            node = await world.node(registry=registry)
            await world.start("collector", 2, "a")
            await world.log.append([confluent(world, "a", number(1))])
            await settled(world)
            await node.stop()
            world.nodes.remove(node)
            await world.node(registry=registry)
            await world.send("a", number(2))
            await settled(world)
            assert not world.instance("a").ended
            registry.gate.set()
            await world.ended("a")
            assert world.output("a") == [1, 2]
            await world.check()

    run_virtually(day())


def test_an_unknown_schema_is_a_dead_letter_that_names_registry_and_id_and_is_asked_again_later():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            await world.node(registry=registry)
            letter = confluent(world, "a", StartWorkflow("collector", "1"), 77, headers=(("mine", b"x"),))
            await world.log.append([letter, world.out("a", number(1)), letter])
            await until(lambda: len(world.dead_letters()) == 3)  # and the event for which there is no instance
            assert [reason for reason in reasons(world) if "77" in reason] == [
                "the registry fake:8081 has no schema 77"
            ] * 2
            assert registry.asked == [77]
            (key, value, headers) = next(each for each in world.dead_letters() if "77" in each[2]["perdure-reason"])
            assert (key, value, headers["mine"], headers["perdure-origin"]) == (
                b"a", letter.value, "x", "t.instances/0/0"
            )  # fmt: skip
            registry.schemas[77] = START
            await asyncio.sleep(REGISTRY_REFUSAL_SECONDS)
            await world.log.append([Outgoing(world.topics.instances, 0, key, value), world.out("a", number(1))])
            await world.ended("a")
            assert registry.asked == [77, 77]

    run_virtually(day())


def test_a_schema_of_something_else_is_a_dead_letter_by_name():
    async def day():
        async with World() as world:
            await world.node(registry=FakeRegistry({1: {"type": "array", "items": "null"}, 2: START}))
            await world.log.append(
                [
                    confluent(world, "a", StartWorkflow("collector")),
                    confluent(world, "a", number(1)),
                    Outgoing(world.topics.instances, 0, b"a", b"\0\0\0\0\2\xff"),
                    Outgoing(world.topics.instances, 0, b"a", b"\0\0"),
                ]
            )
            await until(lambda: len(world.dead_letters()) == 4)
            told = sorted(reasons(world))
            assert told[0].startswith("2 bytes are too short")
            assert told[1] == "schema 1 of the registry is no record"
            assert [each.startswith("written with schema 2: ") for each in told[2:]] == [True, True]

    run_virtually(day())


def test_without_a_registry_a_dead_letter_says_which_setting_is_missing():
    async def day():
        async with World() as world:
            await world.node()
            await world.log.append([confluent(world, "a", StartWorkflow("collector"))])
            await until(world.dead_letters)
            assert "schema 1" in reasons(world)[0]
            assert "set PERDURE_SCHEMA_REGISTRY" in reasons(world)[0]

    run_virtually(day())


def test_a_registry_that_comes_back_in_time_costs_no_dead_letter():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            registry.away = True
            await world.node(registry=registry)
            await world.log.append(
                [confluent(world, "a", StartWorkflow("collector", "1")), confluent(world, "a", number(1))]
            )
            await asyncio.sleep(25)
            registry.away = False
            await world.ended("a")
            assert world.dead_letters() == []

    run_virtually(day())


def test_a_registry_that_is_away_for_long_costs_dead_letters_that_can_be_replayed():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            registry.away = True
            await world.node(registry=registry)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await world.log.append([confluent(world, "a", StartWorkflow("collector", "1"))])
            await until(world.dead_letters)
            assert 29 < loop.time() - began <= 31
            assert reasons(world)[0].startswith(
                "schema 1 could not be asked for: the registry fake:8081 answers HTTP 500. "
            )
            tries = len(registry.asked)
            await world.log.append([confluent(world, "b", StartWorkflow("collector", "1"))])  # at once, unasked
            await until(lambda: len(world.dead_letters()) == 2)
            await world.log.append([confluent(world, "c", number(1))])  # another id: one try
            await until(lambda: len(world.dead_letters()) == 3)
            assert (len(registry.asked) - tries, loop.time() - began <= 32) == (1, True)
            registry.away = False
            await asyncio.sleep(REGISTRY_REFUSAL_SECONDS)
            replayed = [Outgoing(world.topics.instances, 0, key, value) for key, value, _ in world.dead_letters()[:2]]
            await world.log.append([*replayed, confluent(world, "a", number(1)), confluent(world, "b", number(1))])
            await world.ended("a", "b")
            await world.decided()

    run_virtually(day())


def test_one_question_without_an_answer_does_not_make_the_registry_away_for_others():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            registry.broken = {99: True}
            await world.node(registry=registry)
            await world.log.append([confluent(world, "a", StartWorkflow("collector"), 99)])
            await asyncio.sleep(10)
            await world.log.append([confluent(world, "b", StartWorkflow("collector", "1"))])
            await until(lambda: world.instance("b").run)
            await until(world.dead_letters)
            assert "schema 99 could not be asked for" in reasons(world)[0]
            registry.away = True
            await world.log.append([confluent(world, "b", number(1))])
            await asyncio.sleep(5)
            registry.away = False
            await world.ended("b")
            assert len(world.dead_letters()) == 1

    run_virtually(day())


def test_more_commands_than_may_wait_are_read_when_the_first_have_their_answer_and_none_is_lost():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            registry.gate.clear()
            await world.node(registry=registry)
            many = [f"m{each}" for each in range(UNDECIDED_OFFSETS_MAX + 200)]
            await world.log.append([confluent(world, each, StartWorkflow("collector", "1")) for each in many])
            await world.log.append([world.out(each, number(1)) for each in many])
            await asyncio.sleep(1)
            registry.gate.set()
            await world.ended(*many)
            assert world.dead_letters() == []
            assert registry.asked == [1]

    run_virtually(day())


def test_a_flood_of_ids_is_asked_for_a_few_at_once_and_ends_with_the_registry():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            registry.away, registry.slow_s = True, 5.0
            await world.node(registry=registry)
            loop = asyncio.get_running_loop()
            began = loop.time()
            flood = [confluent(world, f"f{each}", StartWorkflow("collector"), 100 + each) for each in range(1_500)]
            await world.log.append(flood)
            await world.start("collector", 0, "good")
            await world.ended("good")
            assert loop.time() - began < 60
            await until(lambda: len(world.dead_letters()) == 1_500)
            assert registry.at_once_max <= SCHEMAS_ASKED_MAX
            await world.decided()

    run_virtually(day())


def test_a_sealed_command_on_the_wrong_partition_goes_home_unasked_with_its_headers():
    async def day():
        async with World(partitions=4) as world:
            registry = FakeRegistry(SCHEMAS)
            await world.node(registry=registry)
            home = partition_of("a", 4)
            strange = confluent(
                world, "a", StartWorkflow("collector", "1"), headers=(("perdure-command-id", b"k"),),
                partition=(home + 1) % 4,
            )  # fmt: skip
            await world.log.append([strange])
            await until(lambda: world.instance("a").run)
            assert world.instance("a").started.command_id == "k"
            assert registry.asked == [1]
            await world.send("a", number(1))
            await world.ended("a")

    run_virtually(day())


def test_what_a_stranger_writes_beside_it_waits_for_nobody():
    async def day():
        async with World() as world:
            registry = FakeRegistry(SCHEMAS)
            registry.gate.clear()
            await world.node(registry=registry)
            await world.log.append(
                [
                    confluent(world, "a", StartWorkflow("collector", "1")),
                    Outgoing(world.topics.instances, 0, b"a", b"nonsense"),
                    Outgoing(world.topics.instances, 0, b"\xff", encode(number(1))),
                ]
            )
            await until(lambda: len(world.dead_letters()) == 2)
            registry.gate.set()
            await until(lambda: world.instance("a").run)

    run_virtually(day())
