"""A quiet partition's marker is in the store, too: the log may lose it by its age, and only then is it used."""

import asyncio

import pytest

from perdure.core.commands import RaiseEvent

from .test_resume_point import _refusal, _unstarted
from .world import World, run_virtually, until


async def _at_rest(world):
    """The store knows the marker, and nothing has happened since."""
    async with asyncio.timeout(600):
        while True:
            kept = await world.store.resting(0)
            _, end = await world.log.bounds(world.topics.history, 0)
            if kept is not None and kept.end == end:
                return kept, end
            await asyncio.sleep(0.1)


async def _lose_tail(world):
    _, end = await world.log.bounds(world.topics.history, 0)
    await world.log.delete_before(world.topics.history, 0, end)


def test_a_quiet_partition_whose_tail_has_expired_goes_on_from_the_store():
    async def day():
        async with World() as world:
            node = await world.node()
            waiting = await world.start("waiting")
            done = await world.start("chain", 1)
            await world.ended(done)
            await _at_rest(world)
            await node.stop()
            await _lose_tail(world)
            await world.node()
            await world.send(waiting, RaiseEvent("go", "true"))
            await world.ended(waiting)

    run_virtually(day())


def test_a_partition_that_never_had_an_instance_rests_as_well():
    """Its only record is the first owner's marker, at offset 0."""

    async def day():
        async with World() as world:
            node = await world.node()
            kept, _ = await _at_rest(world)
            assert kept.offset == 0
            await node.stop()
            await _lose_tail(world)
            await world.node()
            await world.ended(await world.start("chain", 1))

    run_virtually(day())


def test_offsets_of_what_was_never_committed_do_not_count_as_history_that_is_gone():
    """A commit that is aborted leaves nothing to be seen but a higher end."""

    async def day():
        async with World() as world:
            node = await world.node()
            waiting = await world.start("waiting")
            await world.decided()
            await _at_rest(world)
            await node.stop()
            await _lose_tail(world)
            world.broker.source(world.topics.history, 0).end_transaction()
            await world.node()
            await world.send(waiting, RaiseEvent("go", "true"))
            await world.ended(waiting)

    run_virtually(day())


def test_a_tail_that_was_not_all_in_the_store_is_refused():
    async def day():
        async with World() as world:
            node = await world.node()
            waiting = await world.start("waiting")
            await world.decided()
            await _at_rest(world)
            world.store_available = False
            await world.send(waiting, RaiseEvent("go", "true"))
            await world.ended(waiting)
            node.crash()
            world.store_available = True
            await _lose_tail(world)
            await _unstarted(world)
            assert "no marker" in await _refusal(world)

    run_virtually(day())


def test_a_busy_partition_does_not_tell_the_store_that_it_rests():
    async def day():
        async with World() as world:
            await world.node()
            for number in range(30):
                await world.ended(await world.start("chain", number))
                await asyncio.sleep(0.5)
                assert await world.store.resting(0) is None

    run_virtually(day())


async def _lose_commands(world, to=None):
    _, end = await world.log.bounds(world.topics.instances, 0)
    await world.log.delete_before(world.topics.instances, 0, end if to is None else to)


def test_commands_that_expired_after_they_were_decided_are_not_missed():
    async def day():
        async with World() as world:
            node = await world.node()
            waiting = await world.start("waiting")
            await world.check()
            await _at_rest(world)
            await node.stop()
            await _lose_commands(world)
            await world.node()
            await world.send(waiting, RaiseEvent("go", "true"))
            await world.ended(waiting)

    run_virtually(day())


@pytest.mark.parametrize("left", [0, 1])
def test_commands_that_were_deleted_undecided_are_refused_by_name(left):
    async def day():
        async with World() as world:
            node = await world.node()
            waiting = await world.start("waiting")
            await world.check()
            await _at_rest(world)
            await node.stop()
            await world.send(waiting, RaiseEvent("go", "true"), RaiseEvent("go", "true"))
            _, end = await world.log.bounds(world.topics.instances, 0)
            await _lose_commands(world, end - left)
            await _unstarted(world)
            assert "may not have been decided" in await _refusal(world)

    run_virtually(day())


def test_a_zombie_keeps_no_marker_under_the_end_that_another_owner_wrote():
    async def day():
        async with World() as world:
            old = await world.node()
            waiting = await world.start("waiting")
            await world.decided()
            zombie = old.service.owners[0].tenure
            world.broker.expel(world.broker.groups.get("t.orchestrator").members[0])
            new = await world.node("new")
            await until(lambda: new.serves())
            await world.send(waiting, RaiseEvent("go", "true"))
            await world.ended(waiting)
            before = await world.store.resting(0)
            await zombie._rest()
            assert await world.store.resting(0) == before

    run_virtually(day())


def test_a_resting_marker_below_what_is_stored_is_not_believed():
    async def day():
        async with World() as world:
            node = await world.node()
            await world.ended(await world.start("chain", 1))
            kept, _ = await _at_rest(world)
            await node.stop()
            await _lose_tail(world)
            await world.store.append(0, kept.offset + 1, kept.offset + 1, [])
            await _unstarted(world)
            assert "no marker" in await _refusal(world)

    run_virtually(day())


async def _told(node):
    """The position that the group has stored."""
    return (await node.service.owners[0]._office.reader.committed()).offset


async def _lag(node):
    _, end = await node.world.log.bounds(node.world.topics.instances, 0)
    return end - await _told(node)


def test_who_scales_by_lag_sees_what_is_undecided_and_nothing_at_rest():
    """The position that the group stores follows within a second, and at rest passes the ends of transactions, too."""

    async def day():
        async with World() as world:
            node = await world.node()
            for number in range(30):
                await world.ended(await world.start("chain", number))
                await asyncio.sleep(1.1)
                assert await _lag(node) < 50
            await world.ended(await world.start("parent", 1))  # told of its child's end in a transaction
            await world.inspect("unknown")
            await _at_rest(world)
            await asyncio.sleep(1)
            assert await _lag(node) == 0
            await world.inspect("unknown")
            assert await _lag(node) == 0

    run_virtually(day())


def test_what_waits_to_be_decided_is_lag():
    async def day():
        async with World() as world:
            node = await world.node()
            waiting = [await world.start("waiting") for _ in range(3)]
            await _at_rest(world)
            node.log.hold_commits()
            for each in waiting:
                await world.send(each, RaiseEvent("go", "true"))
            await node.log.held.wait()
            await asyncio.sleep(5)
            assert await _lag(node) >= 1
            node.log.gate.set()
            await world.ended(waiting[-1])
            await _at_rest(world)
            assert await _lag(node) == 0

    run_virtually(day())


def test_what_waits_for_the_store_is_lag_though_others_commit_and_the_partition_rests():
    """And the resting position, which is believed once commands have expired, does not pass it either."""

    async def day():
        async with World() as world:
            node = await world.node()
            await asyncio.sleep(60)  # ids that are minted from now on need no store
            node.store.gate.clear()
            await world.ended(await world.start("chain", 2, minted=True))
            _, waits = await world.log.bounds(world.topics.instances, 0)
            await world.send("elsewhere", RaiseEvent("go", "true"))
            kept, _ = await _at_rest(world)
            assert kept.commands_end <= waits
            assert await _told(node) <= waits
            for number in range(3):
                await world.ended(await world.start("chain", number, minted=True))
                await asyncio.sleep(1.1)
                assert await _told(node) <= waits
            await _at_rest(world)
            await asyncio.sleep(1)
            assert await _told(node) <= waits
            node.store.gate.set()
            await world.ended(await world.start("chain", 3))
            await _at_rest(world)
            await asyncio.sleep(1)
            assert await _lag(node) == 0

    run_virtually(day())
