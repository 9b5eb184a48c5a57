"""What our own clients and the engine say of a command is not taken from strangers' JSON."""

from __future__ import annotations

import json

import pytest

from perdure.ports.log import Outgoing
from perdure.roles.orchestrator import gathering
from tests.codec.framing import JSON_HEADERS
from tests.roles.orchestrator.world import World, run_virtually, until


def told(world, key, **fields):
    return Outgoing(world.topics.instances, 0, key.encode(), json.dumps(fields).encode(), JSON_HEADERS)


@pytest.mark.parametrize("field", [{"parent_id": "p"}, {"minted": True}, {"parent_attempt": 1}])
def test_a_field_that_is_not_for_strangers_makes_a_dead_letter_that_names_it(field):
    async def day():
        async with World() as world:
            await world.node()
            await world.log.append([told(world, "a", command="StartWorkflow", name="chain", input=0, **field)])
            await until(lambda: world.dead_letters())
            ((key, _, headers),) = world.dead_letters()
            assert key == b"a"
            assert next(iter(field)) in headers["perdure-reason"]

    run_virtually(day())


def test_a_record_that_nobody_foresaw_is_a_dead_letter_and_holds_nobody_up(monkeypatch):
    read = gathering.read

    def trips(record, topics):
        if record.key == b"odd":
            raise AttributeError("nobody thought of this")
        return read(record, topics)

    monkeypatch.setattr(gathering, "read", trips)

    async def day():
        async with World() as world:
            await world.node()
            odd = Outgoing(world.topics.instances, 0, b"odd", b"x", (("h", b"1"),))
            await world.log.append(
                [odd, told(world, "a", command="StartWorkflow", name="chain", input=0, command_id="1")]
            )
            await until(lambda: world.status("a") == "COMPLETED")
            ((key, value, headers),) = world.dead_letters()
            assert (key, value) == (b"odd", b"x")
            assert "AttributeError" in headers["perdure-reason"]

    run_virtually(day())


def test_a_refusal_that_its_address_cannot_be_told_is_a_dead_letter():
    async def day():
        async with World() as world:
            await world.node()
            for address in ("x", "7/token", "0"):
                await world.log.append(
                    [told(world, address[0], command="StartWorkflow", name="nobody", reply_to=address)]
                )
            await until(lambda: len(world.dead_letters()) >= 2)
            assert {key for key, _, _ in world.dead_letters()} >= {b"x", b"7"}

    run_virtually(day())
