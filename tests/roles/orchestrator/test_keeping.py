"""History stays in the log for readers outside as long as was promised, and goes then."""

import asyncio

import pytest

from perdure.core.commands import RaiseEvent

from .world import World, run_virtually, until

HOUR = 3600.0


async def bounds(world):
    return await world.log.bounds(world.topics.history, 0)


async def worked(world, count=40):
    """So many workflows later, and a few commits more, for the owner to look."""
    await world.ended(*[await world.start("chain", 2) for _ in range(count)])
    for _ in range(3):
        await asyncio.sleep(1)
        await world.ended(await world.start("chain", 1))


def test_history_is_kept_for_its_time_though_it_is_stored():
    async def day():
        async with World() as world:
            await world.node(delete_every=1, history_keep_s=HOUR)
            await worked(world)
            _, after_an_hour = await bounds(world)
            await asyncio.sleep(0.9 * HOUR)
            await worked(world)
            assert (await bounds(world))[0] == 0
            await asyncio.sleep(0.2 * HOUR)
            await worked(world)
            start, end = await bounds(world)
            assert 0 < start <= after_an_hour < end
            await world.check()

    run_virtually(day())


@pytest.mark.parametrize("hours", [1, 5])
def test_a_new_owner_promises_the_same(hours):
    """It has not seen the records come: what counts is their own time."""

    async def day():
        async with World() as world:
            node = await world.node(delete_every=1, history_keep_s=hours * HOUR)
            await worked(world)
            _, old = await bounds(world)
            await node.stop()
            await asyncio.sleep(0.7 * hours * HOUR)
            node = await world.node(delete_every=1, history_keep_s=hours * HOUR)
            await worked(world)
            assert (await bounds(world))[0] == 0
            await node.stop()
            await asyncio.sleep(0.7 * hours * HOUR)
            await world.node(delete_every=1, history_keep_s=hours * HOUR)
            await worked(world)
            assert 0 < (await bounds(world))[0] <= old
            await world.check()

    run_virtually(day())


def test_what_is_not_stored_stays_however_old_it_is():
    async def day():
        async with World() as world:
            await world.node(delete_every=1, history_keep_s=HOUR)
            waiting = await world.start("collector", 3)
            await worked(world)
            await until(lambda: world.instance(waiting).started)
            stored = await world.store.stored_to(0)
            world.store_available = False
            for number in range(3):
                await world.send(waiting, RaiseEvent("e", str(number)))
                await asyncio.sleep(2 * HOUR)
                assert (await bounds(world))[0] <= stored + 1
            await world.ended(waiting)
            world.store_available = True
            await worked(world)
            await world.check()

    run_virtually(day())
