"""A commit fails, or nobody knows whether it did, at every point: nothing is lost, nothing happens twice."""

import asyncio
import json

import pytest

from perdure.core.commands import RaiseEvent, StartWorkflow
from perdure.core.events import EventRaised

from .world import Fault, World, run_virtually, until


async def _work(world):
    """A bit of everything; the outputs that must come of it."""
    expected = {}
    expected[await world.start("chain", 3)] = [["done", 0], ["done", 1], ["done", 2]]
    expected[await world.start("generations", 3, minted=True)] = 2
    expected[await world.start("parent", 2)] = [[], [["done", 0]]]
    expected[await world.start("fan", 4, minted=True)] = [["done", number] for number in range(4)]
    collector = await world.start("collector", 6)
    expected[collector] = list(range(6))
    asked = [asyncio.create_task(world.ask("asked", StartWorkflow("chain", "1", "asked-start")))]
    expected["asked"] = [["done", 0]]
    for number in range(6):
        await world.send(collector, RaiseEvent("e", json.dumps(number)))
        await asyncio.sleep(0.003)
    await world.ended(*expected)
    for task in asked:
        assert (await task).accepted
    return expected


def _outputs(world, expected):
    assert {key: world.output(key) for key in expected} == expected


async def _commits_of_a_day():
    async with World(2) as world:
        await world.node()
        _outputs(world, await _work(world))
        await world.check()
        return world.broker.commits


@pytest.fixture(scope="module")
def commits():
    return run_virtually(_commits_of_a_day())


@pytest.mark.parametrize("fault", Fault, ids=lambda each: each.name.lower())
def test_a_commit_that_goes_wrong_anywhere_changes_no_result(fault, commits):
    async def day(number):
        async with World(2) as world:
            world.broker.before_commit = lambda n, _: n == number and world.broker.fail_next("commit", fault)
            node = await world.node()
            _outputs(world, await _work(world))
            await world.check()
            assert node.service.failure is None
            assert node.stats.commits_failed == 1

    for number in range(1, commits + 1):
        run_virtually(day(number))


@pytest.mark.parametrize("fault", Fault, ids=lambda each: each.name.lower())
def test_every_fifth_commit_goes_wrong(fault):
    async def day():
        async with World(2) as world:
            world.broker.before_commit = lambda n, _: n % 5 == 0 and world.broker.fail_next("commit", fault)
            await world.node(cache_instances_max=3)
            _outputs(world, await _work(world))
            world.broker.before_commit = lambda n, _: None
            await world.check()

    run_virtually(day())


@pytest.mark.parametrize("written", [True, False], ids=["written", "not written"])
def test_the_process_dies_at_any_commit_and_another_goes_on(written, commits):
    async def day(number):
        async with World(2) as world:
            first = await world.node()
            second = await world.node()

            def die(n, _):
                if n == number:
                    victim = first if first.service.owners else second
                    victim.crash()

            if written:
                world.broker.after_commit = die
            else:
                world.broker.before_commit = lambda n, r: (
                    n == number and (die(n, r), world.broker.fail_next("commit", Fault.UNKNOWN_NOT_WRITTEN))
                )
            _outputs(world, await _work(world))
            await world.check()

    for number in range(3, commits + 1, 2):
        run_virtually(day(number))


def test_an_answer_that_is_lost_is_given_again():
    async def day():
        async with World() as world:
            node = await world.node()
            key = await world.start("waiting")
            await world.decided()
            node.log.append_faults.append(Fault.FAILED.error())
            assert (await world.ask(key, RaiseEvent("go", "1", "once"))).accepted
            assert not node.log.append_faults
            assert [type(each) for each in world.journal.history(key)].count(EventRaised) == 1
            await world.check()

    run_virtually(day())


@pytest.mark.parametrize("fault", Fault, ids=lambda each: each.name.lower())
def test_what_was_decided_on_a_batch_that_fails_leaves_no_trace_of_its_own(fault):
    """Batch n+1 is decided while n commits; the answer about n comes late, and is bad."""

    async def day():
        async with World() as world:
            node = await world.node()
            key = await world.start("collector", 2)
            await world.decided()
            node.log.hold_commits()
            turns, writes = node.stats.turns, len(world.broker.writes)
            await world.send(key, RaiseEvent("e", '"first"', "a", "0/a"))
            await node.log.held.wait()
            await world.send(key, RaiseEvent("e", '"second"', "b", "0/b"))
            await world.send("other", StartWorkflow("chain", "1", "c", "0/c"))
            await until(lambda: node.stats.turns >= turns + 2)  # decided, on what is not committed
            assert [write.kind for write in world.broker.writes[writes:]] == ["append"] * 3  # the requests
            world.broker.fail_next("commit", fault)
            node.log.gate.set()
            await world.ended(key)
            assert world.output(key) == ["first", "second"]
            raised = [each for each in world.journal.history(key) if isinstance(each, EventRaised)]
            assert [each.data for each in raised] == ['"first"', '"second"']
            await world.check()

    run_virtually(day())


def test_nothing_leaves_before_its_commit():
    """While a commit hangs: no answer to it, no store write, no snapshot that shows it."""

    async def day():
        async with World() as world:
            node = await world.node(cache_instances_max=1)
            key = await world.start("collector", 3)
            await world.check()
            node.log.hold_commits()
            appends, writes = node.store.appends, len(world.broker.writes)
            await world.send(key, RaiseEvent("e", "1", "a", "0/a"))
            await node.log.held.wait()
            asking = asyncio.create_task(world.inspect(key))
            await world.start("chain", 1)
            await asyncio.sleep(3.0)
            written = world.broker.writes[writes:]
            assert not [write for write in written if write.of(world.topics.replies) or write.of(world.topics.history)]
            assert node.store.appends == appends
            node.log.gate.set()
            assert (await asking).snapshot.custom_status == "1"
            await world.check()

    run_virtually(day())


def test_a_waiter_is_told_only_what_is_committed():
    async def day():
        async with World() as world:
            node = await world.node()
            key = await world.start("waiting")
            waiting = asyncio.create_task(world.inspect(key, "completed"))
            await world.decided()
            node.log.hold_commits()
            await world.send(key, RaiseEvent("go", "7"))
            await node.log.held.wait()
            await asyncio.sleep(1.0)
            assert not waiting.done()
            world.broker.fail_next("commit", Fault.UNKNOWN_NOT_WRITTEN)
            node.log.gate.set()
            assert (await waiting).snapshot.output == "7"  # by asking again: the wait itself was lost with the batch
            await world.check()

    run_virtually(day())
