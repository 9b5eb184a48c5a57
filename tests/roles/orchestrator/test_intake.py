"""Records that are no commands, or not ours, or cannot be committed: never fatal, never lost, never twice."""

import asyncio
import json

import pytest

from perdure.codec.avro import encode
from perdure.codec.encoder import Encoder
from perdure.core.commands import (
    CompleteActivity,
    FailActivity,
    FireTimer,
    InspectInstance,
    RaiseEvent,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.events import EventRaised, WorkflowBegun
from perdure.core.limits import RECORD_BYTES_MAX
from perdure.core.names import partition_of
from perdure.ports.errors import RecordTooLarge
from perdure.ports.log import Outgoing

from .world import World, run_virtually, until

GOOD = encode(RaiseEvent("e", "1"))


def _strange(world, key, value):
    return Outgoing(world.topics.instances, 0, key, value, (("trace", b"abc"),))


STRANGE = {
    "no Avro": (b"i1", b"hello"),
    "empty": (b"i1", b""),
    "an unknown schema": (b"i1", b"\xc3\x01" + b"\x07" * 30),
    "cut short": (b"i1", GOOD[:-1]),
    "too long": (b"i1", GOOD + b"\0"),
    "a key that is not UTF-8": (b"\xff\xfe", GOOD),
    "an empty key": (b"", GOOD),
    "an event": (b"i1", encode(WorkflowBegun("1.0.0", 0, 1, 1))),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_command_becomes_a_dead_letter_with_reason_and_origin(kind):
    async def day():
        async with World() as world:
            node = await world.node()
            key, value = STRANGE[kind]
            before = await world.start("collector", 1)
            await world.log.append([_strange(world, key, value)])
            await world.send(before, RaiseEvent("e", "1"))
            await world.ended(before)
            ((dead_key, dead_value, headers),) = world.dead_letters()
            assert (dead_key, dead_value) == (key, value)
            assert headers["perdure-origin"] == "t.instances/0/1"
            assert headers["perdure-reason"]
            assert headers["trace"] == "abc"
            assert node.stats.dead_letters == 1
            await world.check()

    run_virtually(day())


@pytest.mark.parametrize("size", [RECORD_BYTES_MAX, RECORD_BYTES_MAX - 40])
@pytest.mark.parametrize("where", ["value", "key", "headers"])
def test_a_record_too_large_for_a_dead_letter_of_its_own_is_cut(size, where):
    async def day():
        async with World() as world:
            await world.node()
            parts = {"value": b"", "key": b"k", "headers": ()}
            room = size - 1
            parts[where] = (("h", b"x" * (room - 1)),) if where == "headers" else b"x" * room
            if where == "key":
                parts["key"] = b"\xff" * size
            out = Outgoing(world.topics.instances, 0, parts["key"], parts["value"], parts["headers"])
            await world.log.append([out])
            key = await world.start("chain", 1)
            await world.ended(key)
            ((_, _, headers),) = world.dead_letters()
            assert headers["perdure-origin"] == "t.instances/0/0"
            assert int(headers["perdure-truncated-bytes"]) >= size
            await world.check()

    run_virtually(day())


# -- the wrong partition -------------------------------------------------------------------------------------


async def _away(world, workflow, value):
    """A running instance, and a partition that is not its home."""
    key = await world.start(workflow, value)
    await world.decided()
    return key, (partition_of(key, world.partitions) + 1) % world.partitions


def _commands(run):
    place = (run, 0, 1, 1)
    return {
        "start": StartWorkflow("chain", "1", "x"),
        "event": RaiseEvent("e", "1"),
        "suspend": SuspendWorkflow(),
        "terminate": TerminateWorkflow(),
        "result": CompleteActivity(*place, "1"),
        "failure": FailActivity(*place, "ValueError"),
        "timer": FireTimer(*place, "timer", 1),
    }


@pytest.mark.parametrize("kind", _commands(""))
@pytest.mark.parametrize("loaded", [True, False], ids=["in memory", "not in memory"])
def test_a_command_on_the_wrong_partition_is_forwarded_once(kind, loaded):
    async def day():
        async with World(3) as world:
            node = await world.node()
            world.paused.add("0")
            key, wrong = await _away(world, "chain", 1)
            await world.check()
            if not loaded:
                await node.stop()
                node = await world.node()
            await world.log.append([world.out(key, _commands(world.instance(key).run)[kind], wrong)])
            await world.decided()
            assert node.stats.forwarded == 1
            assert {partition for partition, name in world.journal.histories() if name == key} == {partition_of(key, 3)}
            (forwarded,) = [
                record
                for write in world.broker.writes
                for record in write.of(world.topics.instances)
                if any(name == "perdure-forwarded" for name, _ in record.headers)
            ]
            assert (forwarded.partition, forwarded.key) == (partition_of(key, 3), key.encode())
            world.paused.clear()
            if kind == "suspend":
                await world.send(key, ResumeWorkflow())
            await world.ended(key)
            await world.check()

    run_virtually(day())


def test_a_fresh_minted_start_on_the_wrong_partition_is_forwarded():
    async def day():
        async with World(3) as world:
            node = await world.node()
            await asyncio.sleep(6)
            key = world.new_id()
            wrong = (partition_of(key, 3) + 1) % 3
            await world.log.append([world.out(key, StartWorkflow("chain", "1", "x", minted=True), wrong)])
            await world.ended(key)
            assert node.stats.forwarded == 1
            await world.check()

    run_virtually(day())


def test_a_command_forwarded_to_a_wrong_partition_again_is_a_dead_letter():
    async def day():
        async with World(3) as world:
            node = await world.node()
            key, wrong = await _away(world, "chain", 1)
            headers = (("perdure-forwarded", b"2/7"),)
            await world.log.append([world.out(key, RaiseEvent("e", "1", "c"), wrong, headers)])
            await until(world.dead_letters)
            assert "forwarded once already" in world.dead_letters()[0][2]["perdure-reason"]
            assert node.stats.forwarded == 0
            await world.check()

    run_virtually(day())


def test_a_forwarded_question_is_answered():
    async def day():
        async with World(3) as world:
            await world.node()
            key, wrong = await _away(world, "waiting", None)
            await world.log.append([world.out(key, InspectInstance("q", "0/q"), wrong)])
            await until(lambda: world.reply_to("q"))
            assert world.reply_to("q").snapshot.status == "RUNNING"
            await world.check()

    run_virtually(day())


# -- rejections ----------------------------------------------------------------------------------------------


def test_a_rejection_without_a_reply_address_is_kept_as_a_dead_letter():
    async def day():
        async with World() as world:
            node = await world.node()
            await world.send("nobody", RaiseEvent("e", "1"))
            await world.send("nobody", StartWorkflow("unheard of"))
            await world.send("nobody", FireTimer("0.0.1", 0, 1, 1, "timer", 1))  # ours: counted, not kept
            reply = await world.ask("nobody", RaiseEvent("e", "1"))
            assert (reply.accepted, reply.reason) == (False, "UnknownInstance")
            reasons = [letter[2]["perdure-reason"].split(":")[0] for letter in world.dead_letters()]
            assert reasons == ["UnknownInstance", "UnknownWorkflow"]
            assert node.stats.rejections == {"UnknownInstance": 3, "UnknownWorkflow": 1}
            await world.check()

    run_virtually(day())


REPLY_ADDRESSES = ["", "x", "/", "0", "1/x", "-1/x", "9" * 5000 + "/x", "٣/x", "0/" + "x" * 3_000_000, "²/x"]


@pytest.mark.parametrize("address", REPLY_ADDRESSES, ids=lambda each: each[:5] or "none")
def test_a_strange_reply_address_hurts_nobody(address):
    async def day():
        async with World() as world:
            node = await world.node()
            await world.send("nobody", RaiseEvent("e", "1", "c", address), InspectInstance("q", address))
            key = await world.start("chain", 1)
            await world.ended(key)
            assert (await world.inspect(key)).accepted
            assert node.service.failure is None
            assert node.stats.takeovers == 1

    run_virtually(day())


def test_an_answer_too_large_for_a_record_takes_no_other_with_it():
    async def day():
        def wide(ctx, _):
            ctx.set_custom_status("s" * 1_000_000)
            for number in range(9_000):
                ctx.call_activity(f"{number}" + "n" * 250)
            yield ctx.wait_for_external_event("never")

        from .programs import app_of, waiting

        async with World(app=app_of(wide, waiting)) as world:
            world._pump.cancel()
            node = await world.node()
            key = await world.start("wide", "i" * 1_000_000)
            other = await world.start("waiting")
            await world.decided()
            await world.send(key, InspectInstance("large", "0/large", "now", True))
            await world.send(other, InspectInstance("small", "0/small", "now", True))
            await until(lambda: world.reply_to("small"))
            assert (await world.inspect(key)).snapshot.status == "RUNNING"
            assert node.service.failure is None
            assert node.stats.takeovers == 1

    run_virtually(day())


# -- poison --------------------------------------------------------------------------------------------------


def _refuse(instance_id):
    def refuse(record):
        if record.topic == "t.history" and record.key == instance_id.encode():
            raise RecordTooLarge("refused for its content")

    return refuse


@pytest.mark.parametrize("neighbours", [0, 1, 7, 40])
@pytest.mark.parametrize("known", [True, False], ids=["a known instance", "a new one"])
def test_a_command_that_cannot_be_committed_is_halved_down_to_and_set_aside(neighbours, known):
    async def day():
        async with World() as world:
            node = await world.node()
            if known:
                await world.start("collector", 2, "poison")
            others = [await world.start("collector", 2) for _ in range(neighbours)]
            await world.check()
            world.broker.refuse = _refuse("poison")
            bad = RaiseEvent("e", "1", "bad") if known else StartWorkflow("chain", "1", "bad")
            records = [world.out(key, RaiseEvent("e", "1")) for key in others[: neighbours // 2]]
            records.append(world.out("poison", bad))
            records += [world.out(key, RaiseEvent("e", "1")) for key in others[neighbours // 2 :]]
            await world.log.append(records)
            await world.decided()
            (letter,) = world.dead_letters()
            assert letter[0] == b"poison"
            assert "cannot be committed" in letter[2]["perdure-reason"]
            world.broker.refuse = lambda record: None
            await world.log.append([world.out(key, RaiseEvent("e", "2")) for key in others])
            await world.ended(*others)
            assert [world.output(key) for key in others] == [[1, 2]] * neighbours
            if known:
                await world.send("poison", RaiseEvent("e", "3"), RaiseEvent("e", "4"))
                await world.ended("poison")
                assert world.output("poison") == [3, 4]
            assert node.stats.commits_failed < 12
            await world.check()

    run_virtually(day())


def test_several_commands_that_cannot_be_committed_are_all_found():
    async def day():
        async with World() as world:
            await world.node(batch_requests_max=64)
            keys = [await world.start("collector", 3, f"k{n}") for n in range(30)]
            await world.check()
            bad = {b"k3", b"k4", b"k29"}

            def refuse(record):
                if record.topic == "t.history" and record.key in bad:
                    raise RecordTooLarge("refused for its content")

            world.broker.refuse = refuse
            for number in range(3):
                await world.log.append([world.out(key, RaiseEvent("e", str(number))) for key in keys])
            await world.decided()
            good = [key for key in keys if key.encode() not in bad]
            assert [world.output(key) for key in good] == [[0, 1, 2]] * len(good)
            letters = sorted((letter[0], letter[1]) for letter in world.dead_letters())
            expected = sorted((key, encode(RaiseEvent("e", str(number)))) for key in bad for number in range(3))
            assert letters == expected
            await world.check()

    run_virtually(day())


def test_an_outcome_that_cannot_be_encoded_is_set_aside_too(monkeypatch):
    ordinary = Encoder.__call__

    def encode_or_not(encode, event):
        if isinstance(event, EventRaised) and event.data == '"poison"':
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        return ordinary(encode, event)

    monkeypatch.setattr(Encoder, "__call__", encode_or_not)

    async def day():
        async with World() as world:
            await world.node()
            keys = [await world.start("collector", 2) for _ in range(5)]
            await world.check()
            data = [json.dumps("poison" if key == keys[2] else "fine") for key in keys]
            await world.log.append(
                [world.out(key, RaiseEvent("e", each)) for key, each in zip(keys, data, strict=True)]
            )
            await world.log.append([world.out(key, RaiseEvent("e", "2")) for key in keys])
            others = [key for key in keys if key != keys[2]]
            await world.ended(*others)
            await world.send(keys[2], RaiseEvent("e", "3"))
            await world.ended(keys[2])
            assert world.output(keys[2]) == [2, 3]
            assert [world.output(key) for key in others] == [["fine", 2]] * 4
            assert len(world.dead_letters()) == 1
            await world.check()

    run_virtually(day())
