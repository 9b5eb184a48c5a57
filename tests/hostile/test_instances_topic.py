"""Whatever a stranger writes to the topic `instances`, its neighbours are served and the role lives."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.client.wire import instance_body
from perdure.codec.avro import encode
from perdure.core.commands import InspectInstance, RaiseEvent
from perdure.core.limits import DERIVED_ID_BYTES_MAX
from perdure.ports.log import Outgoing
from tests.codec.framing import JSON_HEADERS
from tests.hostile.strangers import (
    LONG_KEYS,
    SCHEMA_IDS,
    any_command,
    any_framed,
    any_headers,
    any_json_message,
    any_key,
    any_value_bytes,
    few,
)
from tests.roles.orchestrator.registries import FakeRegistry
from tests.roles.orchestrator.world import World, run_virtually, until

VICTIMS = (b"v1", b"v2")


@few
@given(st.data())
def test_any_records_among_good_ones_kill_nothing_and_hold_nobody_up(data):
    async def day():
        async with World() as world:
            registry = data.draw(st.none() | st.just(FakeRegistry(SCHEMA_IDS)))
            node = await world.node(registry=registry)
            for victim in ("v1", "v2"):
                await world.start("collector" if victim == "v1" else "chain", 3, victim)
            world.paused.add("0")  # the chain's first step is open
            first = await world.start("collector", 2, "good1")
            await until(lambda: world.instance("v1").run and world.instance("v2").run and world.instance(first).run)
            strange = []
            for _ in range(data.draw(st.integers(1, 12))):
                victim = data.draw(st.sampled_from(("v1", "v2")))
                run = world.instance(victim).run
                plain = any_value_bytes() | any_command(run).map(encode) | any_framed(run)
                value = data.draw(plain | any_json_message(run))
                key = data.draw(st.just(victim.encode()) | any_key(*VICTIMS))
                headers = data.draw(any_headers())
                if value.startswith(b"{") and data.draw(st.booleans()):
                    headers = (*headers, *JSON_HEADERS)
                strange.append(Outgoing(world.topics.instances, 0, key, value, headers))
            middle = len(strange) // 2
            good = [world.out(first, RaiseEvent("e", str(number))) for number in (1, 2)]
            await world.log.append([*strange[:middle], good[0], *strange[middle:], good[1]])
            await world.ended(first)
            assert world.output(first) == [1, 2]
            world.paused.clear()
            second = await world.start("collector", 1, "good2")
            await world.send(second, RaiseEvent("e", "3"))
            await world.ended(second)
            assert node.service.failure is None
            await world.decided()
            for each in (*VICTIMS, b"good1"):  # and clients can be told of everybody
                assert json.dumps(instance_body(world.instance(each.decode()).snapshot(0)))
            await node.stop()
            world.nodes.remove(node)
            after = await world.node()
            await world.start("chain", 1, "good3")
            await world.ended("good3")
            assert after.service.failure is None
            await world.decided()
            journal = world.journal
            journal.check_markers(everything_decided=True)
            journal.check_histories()
            await world.caught_up()
            assert not world.broken, world.broken

    run_virtually(day())


@pytest.mark.parametrize("key", LONG_KEYS)
def test_a_key_longer_than_any_id_never_reaches_a_store_that_would_refuse_it_for_ever(key):
    async def day():
        async with World() as world:
            node = await world.node()
            load = node.store.load

            async def strict(instance_ids, *, events=True):
                if any(len(each.encode()) > DERIVED_ID_BYTES_MAX for each in instance_ids):
                    raise ValueError("a partition key is at most 64 KiB long")
                return await load(instance_ids, events=events)

            node.store.load = strict
            await world.log.append([Outgoing(world.topics.instances, 0, key, encode(RaiseEvent("e")))])
            await world.start("chain", 1, "good")
            await world.ended("good")
            assert node.stats.takeovers == 1
            ((_, _, headers),) = world.dead_letters()
            assert "no instance id is that long" in headers["perdure-reason"]

    run_virtually(day())


@pytest.mark.parametrize("field", ["command_id", "reply_to"])
def test_a_question_too_long_to_be_kept_is_a_dead_letter(field):
    async def day():
        async with World() as world:
            node = await world.node()
            await world.start("waiting", None, "good")
            question = InspectInstance("c", "0/c", "completed")
            setattr(question, field, "0/" + "x" * 600)
            await world.send("good", question)
            await world.decided()
            await world.send("good", RaiseEvent("go", "1"))
            await world.ended("good")
            assert "too long" in world.dead_letters()[0][2]["perdure-reason"]
            assert len(node.service.owners[0]._office.waiters) == 0

    run_virtually(day())
