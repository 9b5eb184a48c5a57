"""History and dead letters go by their age: nothing that is younger, nothing that is not stored, and never the last marker."""

import asyncio
from math import log2

import pytest

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.core.commands import RaiseEvent
from perdure.ports.log import Outgoing, TopicSpec
from perdure.roles.orchestrator.expiry import delete_older, first_younger
from tests.roles.timers.virtual import VirtualClock

from .world import World, run_virtually, until


def now_s():
    return asyncio.get_running_loop().time()


async def at(seconds):
    """Once the loop's clock is there: it jumps."""
    await asyncio.sleep(seconds - now_s())


class CountingLog(MemoryLog):
    fetches = 0

    async def fetch(self, *arguments):
        self.fetches += 1
        return await super().fetch(*arguments)


async def filled(times_s):
    """A log with a record at each of these times."""
    clock = VirtualClock()
    log = CountingLog(MemoryBroker(clock))
    await log.create_topics([TopicSpec("t", 1)])
    for at in times_s:
        await asyncio.sleep(at - now_s())
        await log.append([Outgoing("t", 0, b"k", str(at).encode())])
    return log, clock


def ms(clock, at_s):
    return (clock.now_us() - round((now_s() - at_s) * 1e6)) // 1_000


@pytest.mark.parametrize("before_s", [0, 1, 2, 50, 99, 100, 101, 1_000])
@pytest.mark.parametrize("end", [0, 1, 40, 100, 1 << 62])
def test_the_place_is_found_among_the_records_by_halving(before_s, end):
    async def day():
        log, clock = await filled(range(1, 101))
        found = await first_younger(log, "t", 0, end, ms(clock, before_s))
        assert found == min(sum(at < before_s for at in range(1, 101)), end)
        assert log.fetches <= log2(100) + 2

    run_virtually(day())


def test_one_look_is_enough_where_nothing_is_old():
    async def day():
        log, clock = await filled([5] * 1_000)
        assert await delete_older(log, "t", 0, 1 << 62, ms(clock, 5)) == 0
        assert log.fetches == 1

    run_virtually(day())


def test_an_empty_partition_and_one_whose_records_are_gone_are_left_alone():
    async def day():
        log, clock = await filled([1, 2, 3])
        assert await delete_older(log, "t", 0, 1 << 62, ms(clock, 100)) == 3
        assert await delete_older(log, "t", 0, 1 << 62, ms(clock, 100)) == 0
        assert await log.bounds("t", 0) == (3, 3)

    run_virtually(day())


class Follower:
    """Reads history from where it was, now and then; `missed`: offsets that were gone before it came."""

    def __init__(self, world):
        self.world, self.at, self.read, self.missed = world, 0, [], []

    async def look(self):
        topic = self.world.topics.history
        start, _ = await self.world.log.bounds(topic, 0)
        self.missed += range(self.at, start)
        while records := await self.world.log.fetch(topic, 0, self.at, 100):
            self.read += records
            self.at = records[-1].offset + 1


def test_a_follower_within_the_time_misses_nothing_and_what_is_older_goes():
    async def day():
        async with World() as world:
            node = await world.node(history_s=300.0, delete_every=1)
            follower = Follower(world)
            for _ in range(30):
                await world.ended(await world.start("chain", 3))
                await at(now_s() + 120)
                await follower.look()
            assert follower.missed == []
            start, end = await world.log.bounds(world.topics.history, 0)
            assert 0 < start < end
            assert node.stats.retention_offsets == start
            (first,) = await world.log.fetch(world.topics.history, 0, start, 1)
            age_ms = world.clock.now_us() // 1_000 - first.timestamp_ms
            assert age_ms < 1_000 * (300 + 30 + 130)
            await world.check()

    run_virtually(day())


def test_what_is_not_stored_stays_however_old_and_the_last_marker_always():
    async def day():
        async with World() as world:
            node = await world.node(history_s=60.0)
            waiting = await world.start("waiting")
            await world.ended(await world.start("chain", 3))
            await world.caught_up()
            await at(60)  # ids that are minted from now on need no store
            world.store_available = False
            stored = node.service.owners[0].tenure.behind.stored_to
            await world.ended(await world.start("chain", 3, minted=True))
            await at(5_000)
            start, _ = await world.log.bounds(world.topics.history, 0)
            assert 0 < start <= stored
            world.store_available = True
            await world.caught_up()
            tenure = node.service.owners[0].tenure
            later = now_s() + 3_600

            async def gone():
                return (await world.log.bounds(world.topics.history, 0))[0] == tenure.marker_offset

            while not await gone():
                assert now_s() < later, "the history that is old and stored was not let go of"
                await asyncio.sleep(1)
            await node.stop()
            await world.node(history_s=60.0)
            await world.send(waiting, RaiseEvent("go", "true"))
            await world.ended(waiting)
            await world.check()

    run_virtually(day())


def test_dead_letters_go_by_their_age_in_every_partition():
    async def day():
        async with World(partitions=2) as world:
            node = await world.node(dead_letters_s=1_000.0)
            topic = world.topics.dead_letters

            async def refused():
                """One more in each partition."""
                before = len(world.dead_letters())
                for partition in range(2):
                    await world.log.append([Outgoing(world.topics.instances, partition, b"x", b"garbage")])
                await until(lambda: len(world.dead_letters()) == before + 2)

            await refused()
            await at(900)
            await refused()
            await until(lambda: node.stats.retention_offsets == 2, 2_000)
            assert 1_000 < now_s() < 1_250
            for partition in range(2):
                assert (await world.log.bounds(topic, partition))[0] == 1
                assert len(await world.log.fetch(topic, partition, 0, 10)) == 1

    run_virtually(day())


def test_dead_letters_stay_where_they_are_to_be_kept_for_ever():
    async def day():
        async with World() as world:
            await world.node(dead_letters_s=0.0)
            await world.log.append([Outgoing(world.topics.instances, 0, b"x", b"garbage")])
            await at(86_400 * 40)
            assert (await world.log.bounds(world.topics.dead_letters, 0))[0] == 0

    run_virtually(day())
