"""Commits of a process are paced under load, and only then."""

import asyncio

from perdure.core.commands import RaiseEvent
from perdure.roles.orchestrator.pace import Pace

from .world import World, run_virtually


def test_up_to_the_rate_nobody_waits():
    async def day():
        loop, pace = asyncio.get_running_loop(), Pace(100, burst=5)
        for _ in range(50):
            began = loop.time()
            await pace.committed()
            assert loop.time() == began
            await asyncio.sleep(0.011)

    run_virtually(day())


def test_a_burst_is_free_and_then_the_rate_holds():
    async def day():
        loop, pace = asyncio.get_running_loop(), Pace(100, burst=5)
        began, waits = loop.time(), []
        for _ in range(105):
            at = loop.time()
            await pace.committed()
            waits.append(loop.time() - at)
        assert waits[:4] == [0.0] * 4
        assert 0.99 < loop.time() - began < 1.02

    run_virtually(day())


def test_no_wait_is_longer_than_the_partitions_divided_by_the_rate():
    async def day():
        loop, pace, waits = asyncio.get_running_loop(), Pace(100, burst=5), []

        async def partition():
            for _ in range(40):
                at = loop.time()
                await pace.committed()
                waits.append(loop.time() - at)

        await asyncio.gather(*(partition() for _ in range(8)))
        assert max(waits) <= 8 / 100 + 1e-6
        assert max(waits) > 6 / 100

    run_virtually(day())


def test_under_load_a_paced_owner_puts_more_into_fewer_commits_and_loses_nothing():
    async def commits(**settings):
        async with World() as world:
            node = await world.node(**settings)
            keys = [await world.start("collector", 20) for _ in range(10)]
            for number in range(20):
                for key in keys:
                    await world.send(key, RaiseEvent("e", str(number)))
                await asyncio.sleep(0.002)
            await world.ended(*keys)
            assert all(world.output(key) == list(range(20)) for key in keys)
            await world.check()
            return node.stats.commits

    async def day():
        free = await commits()
        paced = await commits(commits_per_second=100.0, commits_burst=1)
        assert paced * 3 < free

    run_virtually(day())
