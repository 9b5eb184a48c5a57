"""Where an owner begins and how it ends: the marker, and the refusal to guess where there is none."""

import asyncio

import pytest

from perdure.core.commands import InspectInstance, RaiseEvent
from perdure.core.events import BatchCommitted
from perdure.ports.errors import LogClosed
from perdure.roles.orchestrator.takeover import ResumePointMissing

from .world import Node, World, run_virtually, until


async def _refusal(world):
    node = world.nodes[-1]
    with pytest.raises(ResumePointMissing) as caught:
        await node.service.ready()
    return str(caught.value)


async def _unstarted(world, **settings):
    node = Node(world, f"node-{len(world.nodes)}", **settings)
    world.nodes.append(node)
    await node.service.start()
    return node


def test_a_log_with_a_past_and_no_marker_is_refused_by_name():
    async def day():
        async with World() as world:
            source = world.broker.source(world.topics.history, 0)
            source.end = source.start = 10
            await _unstarted(world)
            assert "no marker" in await _refusal(world)
            assert not world.broker.writes

    run_virtually(day())


def test_commands_deleted_and_no_marker_is_refused():
    async def day():
        async with World() as world:
            await world.start("chain", 1)
            await world.log.delete_before(world.topics.instances, 0, 1)
            await _unstarted(world)
            assert "no marker" in await _refusal(world)

    run_virtually(day())


def test_a_log_that_ends_below_what_is_stored_is_refused():
    async def day():
        async with World() as world:
            await world.store.append(0, 100, 100, [])
            await _unstarted(world)
            assert "recreated or restored" in await _refusal(world)

    run_virtually(day())


def test_a_raised_epoch_lets_a_recreated_log_be_served():
    async def day():
        async with World() as world:
            await world.store.append(0, 100, 100, [])
            node = await _unstarted(world, epoch=1)
            await node.service.ready()
            key = await world.start("chain", 1)
            await world.ended(key)
            assert world.instance(key).run.startswith("1.")

    run_virtually(day())


def test_a_new_partition_begins_at_the_beginning():
    async def day():
        async with World() as world:
            key = await world.start("chain", 1)  # before anybody serves
            await world.node()
            await world.ended(key)
            await world.check()

    run_virtually(day())


# -- stopping ------------------------------------------------------------------------------------------------


def test_stop_stores_what_is_committed():
    async def day():
        async with World() as world:
            node = await world.node(write_behind_s=60.0)
            keys = [await world.start("chain", 2) for _ in range(3)]
            await world.ended(*keys)
            await world.decided()
            await node.stop()
            await world.journal.check_store(world.store)

    run_virtually(day())


def test_a_process_that_died_can_still_be_stopped():
    async def day():
        async with World() as world:
            node = await world.node()
            await world.start("collector", 1)
            await world.decided()
            node.crash()
            await asyncio.wait_for(node.stop(), 20)
            with pytest.raises(LogClosed):
                await node.log.bounds(world.topics.history, 0)

    run_virtually(day())


def test_every_marker_names_its_owner_and_how_far_the_store_is():
    async def day():
        async with World() as world:
            await world.node("me", epoch=0)
            key = await world.start("collector", 2)
            await world.check()
            await world.send(key, RaiseEvent("e", "1"))
            await world.decided()
            marker = world.journal.markers(0)[-1][2]
            assert isinstance(marker, BatchCommitted)
            assert (marker.owner, marker.epoch, marker.undecided) == ("me", 0, [])
            assert marker.stored_to > 0
            await world.send(key, InspectInstance("q", "0/q"))
            await until(lambda: world.reply_to("q"))
            assert world.journal.markers(0)[-1][2] == marker  # a question moves nothing

    run_virtually(day())
