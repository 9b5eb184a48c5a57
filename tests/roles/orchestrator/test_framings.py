"""Commands as producers with other tools write them: JSON, identity beside the message, refusals without anybody to tell."""

import json

import pytest

from perdure.codec.avro import encode
from perdure.core.commands import (
    CompleteActivity,
    InspectInstance,
    PurgeWorkflow,
    RaiseEvent,
    StartWorkflow,
    TerminateWorkflow,
)
from perdure.core.limits import PAYLOAD_BYTES_MAX
from perdure.core.names import partition_of
from perdure.ports.log import Outgoing
from tests.codec.framing import JSON_HEADERS, as_json

from .world import World, run_virtually, until

TRACE = (("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"), ("tracestate", b"a=b"))


def out(world, key, value, headers=JSON_HEADERS, partition=0):
    return Outgoing(world.topics.instances, partition, key.encode(), value, tuple(headers))


def identity(text):
    return ("perdure-command-id", text if isinstance(text, bytes) else text.encode())


def test_a_workflow_lives_by_json_alone():
    async def day():
        async with World() as world:
            await world.node()
            commands = [
                StartWorkflow("collector", "3", "start-1", requested_by="änn"),
                RaiseEvent("e", '{"a": [1.5, null, "ü"]}'),
                RaiseEvent("E", '"text"'),
                RaiseEvent("e", "null"),
            ]
            await world.log.append([out(world, "a", as_json(each, sparse=True)) for each in commands])
            await world.ended("a")
            assert world.output("a") == [{"a": [1.5, None, "ü"]}, "text", None]
            assert world.instance("a").started.requested_by == "änn"
            await world.log.append([out(world, "a", as_json(PurgeWorkflow()))])
            await until(lambda: world.status("a") == "PURGED")
            assert world.dead_letters() == []
            await world.check()

    run_virtually(day())


@pytest.mark.parametrize(
    "told", [b"application/json", b"Application/JSON", b"application/json; charset=utf-8", b'application/json;charset="UTF-8";v=1']
)  # fmt: skip
def test_json_is_known_by_its_content_type(told):
    async def day():
        async with World() as world:
            await world.node()
            headers = (("content-type", b"text/plain"), ("other", b"\xff"), ("content-type", told), *TRACE)
            await world.log.append([out(world, "a", as_json(StartWorkflow("collector", "0")), headers)])
            await world.ended("a")
            assert world.instance("a").started.traceparent == TRACE[0][1].decode()
            assert world.instance("a").started.tracestate == "a=b"

    run_virtually(day())


def test_an_avro_message_keeps_its_meaning_beside_any_other_content_type():
    async def day():
        async with World() as world:
            await world.node()
            for number, told in enumerate((b"avro/binary", b"", b"\xff", b"application/cloudevents+json")):
                await world.log.append(
                    [out(world, f"a{number}", encode(StartWorkflow("collector", "0")), (("content-type", told),))]
                )
                await world.ended(f"a{number}")

    run_virtually(day())


START = as_json(StartWorkflow("collector", "0"), sparse=True)
LONG = b"i" * 257


@pytest.mark.parametrize(
    ("value", "headers", "told"),
    [
        (START, (), "set the header content-type: application/json"),
        (START, (("content-type", b"application/json; charset=latin-1"),), "JSON is read in utf-8 only"),
        (encode(StartWorkflow("collector")), JSON_HEADERS, "JSON is written in UTF-8"),
        (b'{"command": "StartWorkflow"}', JSON_HEADERS, "StartWorkflow lacks name"),
        (b"", JSON_HEADERS, "no JSON"),
        (START, (*JSON_HEADERS, identity(b"\xff")), "the header perdure-command-id is no text in UTF-8"),
        (START, (*JSON_HEADERS, identity(LONG)), "the header perdure-command-id has 257 bytes, and may have 256"),
        (START, (*JSON_HEADERS, identity("a"), identity("b")), "contradict each other"),
        (
            as_json(StartWorkflow("collector", command_id="mine")), (*JSON_HEADERS, identity("yours")),
            "contradicts the command_id in the message",
        ),
        (encode(RaiseEvent("e", command_id="mine")), (identity("yours"),), "contradicts the command_id"),
        (encode(InspectInstance("mine", "0/t")), (identity("yours"),), "contradicts the command_id"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_dead_letter_that_says_what_to_do(value, headers, told):
    async def day():
        async with World() as world:
            await world.node()
            await world.log.append([out(world, "a", value, headers)])
            await until(world.dead_letters_raw)
            ((key, dead, found),) = world.dead_letters_raw()
            assert told in found["perdure-reason"].decode()
            assert (key, dead) == (b"a", value)
            assert found.items() >= dict(headers).items()
            await world.decided()

    run_virtually(day())


@pytest.mark.parametrize(
    "command", [StartWorkflow("collector", "1", reuse_id="never"), StartWorkflow("collector", "1"), StartWorkflow("collector", "1", "k")]
)  # fmt: skip
@pytest.mark.parametrize("how", ["json", "avro"])
def test_a_start_that_comes_again_under_the_identity_beside_it_starts_one(command, how):
    async def day():
        async with World() as world:
            await world.node()
            value, headers = (as_json(command), JSON_HEADERS) if how == "json" else (encode(command), ())
            headers = (*headers, identity("k"), identity("k"))
            await world.log.append([out(world, "a", value, headers)] * 2)
            await world.log.append([out(world, "a", encode(RaiseEvent("e", "1")), (identity("e1"),))] * 2)
            await world.ended("a")
            await world.log.append([out(world, "a", value, headers)])  # and after its end, too
            await world.decided()
            assert world.instance("a").started.command_id == "k"
            assert world.output("a") == [1]
            assert len({event.run for event in world.journal.history("a")}) == 1
            assert [reason for reason in map(_reason, world.dead_letters()) if "NotRunning" not in reason] == []

    run_virtually(day())


def test_the_engines_own_commands_take_no_identity_from_beside_them():
    async def day():
        async with World() as world:
            await world.node()
            world.paused.add("1")
            await world.start("chain", 2, "a")
            await until(lambda: world.instance("a").open)
            done = CompleteActivity(world.instance("a").run, 0, 1, 1, "[]")
            await world.log.append([out(world, "a", encode(done), (identity("k"),))])
            world.paused.clear()
            await world.ended("a")
            assert world.dead_letters() == []

    run_virtually(day())


def test_a_misrouted_message_arrives_with_its_identity_and_framing():
    async def day():
        async with World(partitions=4) as world:
            await world.node()
            wrong = (partition_of("a", 4) + 1) % 4
            for _ in range(2):
                await world.log.append([out(world, "a", START, (*JSON_HEADERS, identity("k"), *TRACE), wrong)])
            await world.ended("a")
            await world.decided()
            assert world.instance("a").started.command_id == "k"
            assert world.instance("a").started.traceparent
            assert world.dead_letters() == []

    run_virtually(day())


def _reason(letter):
    return letter[2]["perdure-reason"]


REFUSED = {
    "UnknownWorkflow: no workflow named 'nobody' is registered": ("b", StartWorkflow("nobody")),
    "PayloadTooLarge: the input has": ("b", StartWorkflow("collector", json.dumps("x" * PAYLOAD_BYTES_MAX))),
    "InvalidPayload: the input is no JSON text: ": ("b", StartWorkflow("collector", "{no json")),
    "InvalidPayload: the event data is nested too deeply": ("a", RaiseEvent("e", "[" * 200 + "]" * 200)),
    "InvalidPayload: the output is no JSON text": ("a", TerminateWorkflow("nothing")),
    "InvalidName: ": ("a", RaiseEvent("e" * 300)),
    "InvalidInstanceId: ": ("b b", StartWorkflow("collector")),
    "InvalidCommand: reuse_id is one of never, ended or empty, not 'always'": ("b", StartWorkflow("collector", reuse_id="always")),
    "AlreadyExists: ": ("a", StartWorkflow("collector", command_id="k")),
    "IdInUse: 'done' was used before": ("done", StartWorkflow("collector", command_id="k")),
    "UnknownInstance: ": ("b", RaiseEvent("e")),
    "NotRunning: ": ("done", RaiseEvent("e")),
    "NotFinished: ": ("a", PurgeWorkflow()),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refusal_that_nobody_waits_for_is_a_dead_letter_with_a_reason_to_read(reason):
    async def day():
        async with World() as world:
            await world.node()
            await world.start("waiting", None, "a")
            await world.start("collector", 0, "done")
            await world.ended("done")
            key, command = REFUSED[reason]
            await world.log.append([out(world, key, encode(command), ())])
            await until(world.dead_letters)
            ((_, value, headers),) = world.dead_letters()
            assert headers["perdure-reason"].startswith(reason)
            assert value == encode(command)
            await world.decided()
            assert world.status("a") == "RUNNING"

    run_virtually(day())


def test_an_id_that_was_purged_is_not_used_again_by_who_would_not_be_told():
    async def day():
        async with World() as world:
            node = await world.node()
            await world.start("collector", 0, "a")
            await world.ended("a")
            assert (await world.ask("a", PurgeWorkflow())).accepted
            await world.caught_up()
            await node.stop()
            world.nodes.remove(node)
            await world.node()  # which has it from the store, if at all
            await world.log.append([out(world, "a", START, (*JSON_HEADERS, identity("again")))])
            await until(world.dead_letters)
            assert _reason(world.dead_letters()[0]).startswith("IdInUse: ")
            assert (await world.ask("a", StartWorkflow("collector", "0"))).accepted  # our clients, as ever
            await world.ended("a")

    run_virtually(day())
