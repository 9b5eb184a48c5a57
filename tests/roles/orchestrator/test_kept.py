"""A partition that a rebalance hands back goes on from memory; one that somebody else had meanwhile does not."""

import asyncio

import pytest

from perdure.core.commands import InspectInstance, RaiseEvent

from .world import Fault, World, run_virtually, until

GROUP = "t.orchestrator"


async def collecting(world, node, events=2):
    """An instance that has taken some events, all of it stored."""
    key = await world.start("collector", 4)
    for number in range(events):
        await world.send(key, RaiseEvent("e", str(number)))
    await world.check()
    node.store.loads.clear()
    return key


async def finish(world, key, events=2):
    for number in range(events, 4):
        await world.send(key, RaiseEvent("e", str(number)))
    await world.ended(key)
    assert world.output(key) == [0, 1, 2, 3]


async def handed_back(world, node, takeovers=2):
    world.broker.rebalance(GROUP)
    await until(lambda: node.stats.takeovers == takeovers and node.serves())


def test_a_partition_that_is_handed_back_goes_on_without_loading_or_replaying():
    async def day():
        async with World() as world:
            node = await world.node()
            key = await collecting(world, node)
            before = node.service.owners[0].tenure.memory.lives[key].execution
            await handed_back(world, node)
            memory = node.service.owners[0].tenure.memory
            assert memory.lives[key].execution is before
            await finish(world, key)
            assert node.store.loads == []
            await world.check()

    run_virtually(day())


def test_what_was_not_stored_when_it_was_revoked_is_stored_before_it_is_kept():
    async def day():
        async with World() as world:
            node = await world.node(write_behind_s=60.0)
            key = await world.start("collector", 4)
            await world.send(key, RaiseEvent("e", "0"), RaiseEvent("e", "1"))
            await world.decided()
            node.store.loads.clear()
            await handed_back(world, node)
            await finish(world, key)
            assert node.store.loads == []

    run_virtually(day())


def test_where_the_store_does_not_take_it_nothing_is_kept_and_the_tail_of_the_log_is_read():
    async def day():
        async with World() as world:
            node = await world.node(write_behind_s=60.0)
            key = await world.start("collector", 4)
            await world.send(key, RaiseEvent("e", "0"), RaiseEvent("e", "1"))
            await world.decided()
            before = node.service.owners[0].tenure.memory.lives[key].execution
            world.store_available = False
            world.broker.rebalance(GROUP)
            await until(lambda: not node.serves())
            world.store_available = True
            await until(lambda: node.serves())
            await finish(world, key)
            assert node.service.owners[0].tenure.memory.lives[key].execution is not before
            await node.stop()
            await world.journal.check_store(world.store)

    run_virtually(day())


def test_what_somebody_else_has_decided_meanwhile_is_not_overlooked():
    async def day():
        async with World() as world:
            first = await world.node()
            key = await collecting(world, first)
            member = world.broker.groups.get(GROUP).members[0]
            await first.service.on_revoked([0])  # and then it hears nothing for a while
            world.broker.expel(member)
            assert first.service._kept
            second = await world.node("second")
            await until(lambda: second.serves())
            await world.send(key, RaiseEvent("e", "2"))
            await world.check()
            await second.stop()
            world.broker.revive(member)
            await until(lambda: first.serves())
            await finish(world, key, events=3)
            assert set(first.store.loads) == {key}
            await world.check()

    run_virtually(day())


def test_a_client_that_waits_goes_on_waiting_over_the_rebalance():
    async def day():
        async with World() as world:
            node = await world.node()
            key = await collecting(world, node)
            await world.send(key, InspectInstance("wait-1", "0/wait-1", "completed"))
            await world.decided()
            await handed_back(world, node)
            await finish(world, key)
            await until(lambda: world.reply_to("wait-1"), deadline_s=5)

    run_virtually(day())


def test_code_of_instances_whose_partition_went_elsewhere_is_closed():
    async def day():
        async with World(2) as world:
            first = await world.node()
            keys = [await world.start("waiting") for _ in range(8)]
            await world.check()
            lives = [live for owner in first.service.owners.values() for live in owner.tenure.memory.lives.values()]
            assert len([live for live in lives if live.execution]) == 8
            await world.node("second")
            await until(lambda: len(first.service.owners) == 1 and first.serves(next(iter(first.service.owners))))
            here = first.service.owners.popitem()
            first.service.owners[here[0]] = here[1]
            kept = set(here[1].tenure.memory.lives)
            assert 0 < len(kept) < 8
            assert not first.service._kept
            closed = [live.instance.instance_id for live in lives if live.execution is None]
            assert sorted(closed) == sorted(set(keys) - kept)

    run_virtually(day())


def test_rebalances_one_after_the_other_lose_nothing():
    async def day():
        async with World(3) as world:
            nodes = [await world.node(), await world.node()]
            keys = [await world.start("collector", 4) for _ in range(9)]
            for number in range(4):
                for key in keys:
                    await world.send(key, RaiseEvent("e", str(number)))
                world.broker.rebalance(GROUP)
                await asyncio.sleep(0.01 * number)
            await world.ended(*keys)
            assert all(world.output(key) == [0, 1, 2, 3] for key in keys)
            assert all(node.service.failure is None for node in nodes)
            await world.check()

    run_virtually(day())


def test_no_rebalance_and_no_failed_takeover_leaves_a_writer_open():
    async def day():
        async with World(2) as world:
            node = await world.node()
            for number in range(5):
                world.broker.rebalance(GROUP)
                await until(lambda number=number: node.stats.takeovers == 2 * (number + 2))
            world.broker.fail_next("commit", Fault.UNKNOWN_WRITTEN)
            world.store_available = False
            await world.start("chain", 1, minted=True)
            await asyncio.sleep(5)
            world.store_available = True
            await until(lambda: node.serves(0) and node.serves(1))
            assert node.log.open_writers == 2

    run_virtually(day())


@pytest.mark.parametrize("fault", Fault)
def test_a_commit_that_went_wrong_while_the_store_is_away_stops_nobody(fault):
    async def day():
        async with World() as world:
            node = await world.node()
            await world.check()
            await asyncio.sleep(6)  # ids that were minted before its first seconds need the store
            world.store_available = False
            world.broker.fail_next("commit", fault)
            hit = await world.start("chain", 3, minted=True)
            await asyncio.sleep(6)
            key = await world.start("chain", 3, minted=True)
            await world.ended(key, deadline_s=30)
            assert node.stats.takeovers == 2
            world.store_available = True
            await world.ended(hit)  # its id is older than the tenure: unless it was written, the store was asked for it
            await world.check()

    run_virtually(day())


def test_old_tombstones_are_forgotten_beside_the_work():
    async def day():
        async with World() as world:
            node = await world.node()
            asked = asyncio.Event()

            async def forget(before_us):
                asked.set()
                await asyncio.Event().wait()

            node.store.forget_tombstones = forget
            await asyncio.sleep(61)
            key = await world.start("chain", 1)
            await asyncio.wait_for(asked.wait(), 5)
            await world.ended(key, deadline_s=5)
            await asyncio.wait_for(node.stop(), 5)

    run_virtually(day())


def test_questions_that_wait_for_the_store_are_held_once_and_not_without_end(monkeypatch):
    monkeypatch.setattr("perdure.roles.orchestrator.memory.QUESTIONS_PARKED_MAX", 30)

    async def day():
        async with World() as world:
            node = await world.node()
            world.store_available = False
            for _ in range(4):
                for number in range(20):
                    await world.send(f"i{number}", InspectInstance(f"q{number}", f"0/q{number}", "now"))
            for number in range(100):
                await world.send("other", InspectInstance(f"o{number}", f"0/o{number}", "now"))
            await asyncio.sleep(5)
            parked = node.service.owners[0].tenure.memory.parked
            assert sum(map(len, parked.values())) == 30
            world.store_available = True
            await until(lambda: all(world.reply_to(f"q{number}") for number in range(20)))
            assert not node.service.owners[0].tenure.memory._asked
            await world.inspect("other")

    run_virtually(day())
