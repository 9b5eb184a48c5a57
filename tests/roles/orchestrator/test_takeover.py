"""Partitions change hands: whoever owned them before writes nothing more, and nothing is lost on the way."""

import asyncio
import json
import random

import pytest

from perdure.core.commands import RaiseEvent, StartWorkflow

from .world import Fault, Node, World, run_virtually, until

GROUP = "t.orchestrator"


def test_a_fenced_owner_writes_nothing_more_and_its_successor_goes_on():
    async def day():
        async with World() as world:
            first = await world.node()
            key = await world.start("collector", 3)
            await world.decided()
            first.log.hold_commits()
            await world.send(key, RaiseEvent("e", "1", "a", "0/a"))
            await first.log.held.wait()
            member = world.broker.groups.get(GROUP).members[0]
            world.broker.expel(member)  # it does not know; its commit is on the way
            second = await world.node("second")
            writes = len(world.broker.writes)
            await until(lambda: second.serves())
            first.log.gate.set()
            await world.send(key, RaiseEvent("e", "2", "b", "0/b"), RaiseEvent("e", "3", "c", "0/c"))
            await world.ended(key)
            assert world.output(key) == [1, 2, 3]
            owners = {marker.owner for index, _, marker in world.journal.markers(0) if index >= writes}
            assert owners == {"second"}
            await world.check()

    run_virtually(day())


def test_a_zombie_does_not_fight_for_the_partition():
    async def day():
        async with World() as world:
            first = await world.node()
            key = await world.start("collector", 30)
            await world.check()
            world.broker.expel(world.broker.groups.get(GROUP).members[0])
            second = await world.node("second")
            await until(lambda: second.serves())
            for number in range(30):
                await world.send(key, RaiseEvent("e", str(number)))
                await asyncio.sleep(0.05)
            await world.ended(key)
            assert world.output(key) == list(range(30))
            assert second.stats.takeovers == 1
            assert not first.serves()
            assert first.service.failure is None
            await world.check()

    run_virtually(day())


def test_an_owner_fenced_by_nobody_in_particular_takes_over_again():
    async def day():
        async with World() as world:
            node = await world.node()
            key = await world.start("collector", 2)
            await world.decided()
            world.broker.fence("t.orchestrator.0")
            await world.send(key, RaiseEvent("e", "1"), RaiseEvent("e", "2"))
            await world.ended(key)
            assert node.stats.takeovers == 2
            await world.check()

    run_virtually(day())


@pytest.mark.parametrize("seed", range(12))
def test_rebalances_at_random_moments_under_load_change_nothing(seed):
    async def day():
        rng = random.Random(seed)
        async with World(4) as world:
            nodes = [await world.node(cache_instances_max=4) for _ in range(2)]
            expected = {}
            for number in range(12):
                expected[await world.start("chain", 3, minted=number % 2 == 0)] = [["done", n] for n in range(3)]
            expected[await world.start("generations", 4)] = 3
            expected[await world.start("parent", 3)] = [[["done", n] for n in range(count)] for count in range(3)]
            collectors = [await world.start("collector", 10) for _ in range(3)]
            expected |= {key: list(range(10)) for key in collectors}
            for number in range(10):
                for key in collectors:
                    await world.send(key, RaiseEvent("e", json.dumps(number)))
                await asyncio.sleep(rng.random() * 0.02)
                chance = rng.random()
                if chance < 0.5:
                    world.broker.rebalance(GROUP)
                elif chance < 0.6:
                    world.broker.fence(f"t.orchestrator.{rng.randrange(4)}")
                elif chance < 0.7:
                    member = rng.choice(world.broker.groups.get(GROUP).members)
                    world.broker.expel(member)
                    await asyncio.sleep(rng.random() * 0.05)
                    world.broker.revive(member)
                elif chance < 0.85:
                    world.broker.fail_next("commit", rng.choice(list(Fault)))
                elif chance < 0.95:
                    nodes.append(await world.node(cache_instances_max=4))
                elif len(nodes) > 1:
                    await nodes.pop().stop()
            await world.ended(*expected)
            assert {key: world.output(key) for key in expected} == expected
            assert all(node.service.failure is None for node in world.nodes)
            await world.check()

    run_virtually(day())


def test_the_new_owner_begins_at_the_last_marker():
    async def day():
        async with World() as world:
            first = await world.node()
            keys = [await world.start("chain", 2) for _ in range(5)]
            await world.ended(*keys)
            await world.check()
            first.crash()
            before = len(world.broker.writes)
            await world.node()
            await world.ended(await world.start("chain", 1))
            await world.check()
            history = world.broker.writes[before].of(world.topics.history)
            assert len(history) == 1  # its first write: the marker of a takeover, and nothing decided again
            assert world.journal.markers(0)[-1][2].takeovers == 0

    run_virtually(day())


def test_commands_that_wait_for_the_store_survive_a_takeover():
    async def day():
        async with World() as world:
            first = await world.node()
            old = [await world.start("collector", 2) for _ in range(5)]
            await world.check()
            await first.stop()
            second = await world.node(batch_requests_max=3)
            second.store.gate.clear()  # loads hang
            for key in old:
                await world.send(key, RaiseEvent("e", "1"))
            await asyncio.sleep(6)  # ids minted so soon after a takeover are asked for in the store
            fresh = await world.start("chain", 1, minted=True)
            await world.ended(fresh)
            for key in old:
                await world.send(key, RaiseEvent("e", "2"))
            marker = world.journal.markers(0)[-1][2]
            assert len(marker.undecided) == 5
            second.crash()
            third = await world.node()
            await world.ended(*old)
            assert [world.output(key) for key in old] == [[1, 2]] * 5
            await world.check()
            assert third.service.failure is None

    run_virtually(day())


def test_more_waiting_commands_than_a_marker_lists_are_not_lost():
    async def day():
        async with World() as world:
            first = await world.node()
            old = [await world.start("collector", 700, minted=True) for _ in range(4)]
            await world.check()
            await first.stop()
            second = await world.node()
            second.store.gate.clear()
            await asyncio.sleep(6)
            for number in range(0, 700, 350):
                batch = []
                for key in old:
                    batch += [world.out(key, RaiseEvent("e", str(each))) for each in range(number, number + 350)]
                await world.log.append(batch)
                fresh = await world.start("chain", 1, minted=True)
                await asyncio.sleep(1)
                assert len(world.journal.markers(0)[-1][2].undecided) <= 1024
            second.crash()
            await world.node()
            await world.ended(*old, fresh)
            assert [world.output(key) for key in old] == [list(range(700))] * 4
            await world.decided()
            world.journal.check()

    run_virtually(day())


def test_what_is_committed_and_not_stored_is_found_in_the_log():
    """The store lags, the owner dies: its successor lays the tail of the log over what is stored."""

    async def day():
        async with World() as world:
            first = await world.node()
            stored = await world.start("collector", 3)
            await world.send(stored, RaiseEvent("e", "1"))
            again = await world.start("generations", 2)
            await world.ended(again)
            await asyncio.sleep(6)
            await world.check()
            first.store.dead = True  # from here on only the log has it
            await world.send(stored, RaiseEvent("e", "2"))
            new = await world.start("collector", 1, minted=True)
            await world.send(again, StartWorkflow("waiting", "null", "another-start", reuse_id="ended"))
            await asyncio.sleep(0.5)
            assert world.instance(stored).custom_status == "2"
            first.crash()
            second = await world.node()
            await world.send(stored, RaiseEvent("e", "3"))
            await world.send(new, RaiseEvent("e", "9"))
            await world.send(again, RaiseEvent("go", "8"))
            await world.ended(stored, new, again)
            assert [world.output(key) for key in (stored, new, again)] == [[1, 2, 3], [9], 8]
            assert second.service.failure is None
            await world.check()

    run_virtually(day())


def test_a_stop_while_the_tail_is_being_loaded_forgets_none_of_it():
    async def day():
        async with World() as world:
            first = await world.node()
            await asyncio.sleep(6)
            first.store.dead = True
            tail = [await world.start("collector", 1, minted=True) for _ in range(3)]
            await world.decided()
            first.crash()
            second = Node(world, "second")
            world.nodes.append(second)
            second.store.gate.clear()
            await second.start()
            await asyncio.sleep(6)
            fresh = await world.start("chain", 1, minted=True)
            await world.ended(fresh)
            await second.stop()
            assert not world.broken, world.broken
            await world.node("third")
            for key in tail:
                await world.send(key, RaiseEvent("e", "1"))
            await world.ended(*tail)
            await world.check()

    run_virtually(day())


def test_a_long_tail_is_loaded_even_above_the_lag_bound():
    async def day():
        async with World() as world:
            first = await world.node()
            first.store.dead = True
            await asyncio.sleep(6)
            keys = [world.new_id() for _ in range(1_200)]
            starts = [StartWorkflow("waiting", "null", f"s-{key}", minted=True) for key in keys]
            await world.log.append([world.out(key, start) for key, start in zip(keys, starts, strict=True)])
            await world.decided()
            first.crash()
            second = await world.node(store_lag_bytes_max=1_000)
            await world.log.append([world.out(key, RaiseEvent("go", "1")) for key in keys])
            await until(lambda: second.stats.events >= 2 * 1_200)
            await world.decided()
            world.journal.check_histories()
            await world.caught_up()

    run_virtually(day())


def test_each_of_three_processes_that_die_one_after_the_other_loses_nothing():
    async def day():
        async with World(2) as world:
            keys = [await world.start("chain", 6) for _ in range(6)]
            for _ in range(3):
                node = await world.node()
                await asyncio.sleep(0.02)
                node.crash()
            await world.node()
            await world.ended(*keys)
            assert [world.output(key) for key in keys] == [[["done", n] for n in range(6)]] * 6
            await world.check()

    run_virtually(day())
