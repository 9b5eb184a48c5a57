"""Ended instances go when they are older than their status may grow: by commands, at a bounded rate, and only these."""

import asyncio
from dataclasses import replace

import pytest
import structlog
from structlog.testing import capture_logs

from perdure.codec.encoder import Encoder
from perdure.core.commands import PurgeWorkflow, RaiseEvent, StartWorkflow, TerminateWorkflow
from perdure.core.events import WorkflowCompleted, WorkflowFailed, WorkflowPurged, WorkflowTerminated
from perdure.ports.errors import CommitFailed
from perdure.roles.orchestrator.retention import Sweeper

from .programs import app_of, chain, waiting
from .world import World, run_virtually, until

SECOND = 1_000_000
ENDS = {WorkflowCompleted: "COMPLETED", WorkflowFailed: "FAILED", WorkflowTerminated: "TERMINATED"}


def failing(ctx, _):
    raise ValueError("as it must")


async def at(seconds):
    """Once the loop's clock is there: it jumps."""
    await asyncio.sleep(seconds - asyncio.get_running_loop().time())


def ages_at_purge(world):
    """(status, seconds that it was kept) of each instance that was purged, by id."""
    found = {}
    for (_, key), events in world.journal.histories().items():
        for event in events:
            if type(event) in ENDS:
                ended = event
            elif type(event) is WorkflowPurged:
                found[key] = (ENDS[type(ended)], (event.at_us - ended.at_us) / SECOND)
    return found


def purges(world):
    """Those that were sent for the sake of age: (instance, command)."""
    return [
        command
        for partition in range(world.partitions)
        for _, _, command in world.journal.commands(partition)
        if isinstance(command, PurgeWorkflow) and command.requested_by == "retention"
    ]


async def terminated(world, key="", **start):
    key = await world.start("waiting", instance_id=key, **start)
    await world.send(key, TerminateWorkflow(command_id=f"end-{next(world.ids)}"))
    await until(lambda: world.status(key) == "TERMINATED")
    return key


def test_each_status_has_its_own_age_and_what_has_none_is_kept():
    async def day():
        async with World(partitions=3, app=app_of(chain, waiting, failing)) as world:
            node = await world.node(retain={"COMPLETED": 100.0, "TERMINATED": 400.0})
            done = [await world.start("chain", 1) for _ in range(6)]
            failed = await world.start("failing")
            ended = await terminated(world)
            running = await world.start("waiting")
            await world.ended(*done, failed)
            await until(lambda: world.status(ended) == "PURGED", 2_000)
            kept = ages_at_purge(world)
            assert kept.keys() == {*done, ended}
            assert all(100 < kept[key][1] < 100 + 2 * 10 + 5 for key in done)
            assert 400 < kept[ended][1] < 400 + 2 * 40 + 5
            assert (world.status(failed), world.status(running)) == ("FAILED", "RUNNING")
            assert (node.stats.retention_purged, node.stats.retention_asked) == (7, 7)
            assert node.stats.forwarded == 0
            await world.check()

    run_virtually(day())


def test_nothing_is_purged_where_no_age_was_given():
    async def day():
        async with World() as world:
            await world.node()
            done = await world.start("chain", 1)
            await world.ended(done)
            await at(2 * 86_400)
            assert world.status(done) == "COMPLETED"
            assert purges(world) == []

    run_virtually(day())


def test_children_go_by_their_own_age():
    async def day():
        async with World() as world:
            await world.node(retain={"COMPLETED": 50.0})
            parent = await world.start("parent", 2)
            await world.ended(parent)
            await until(lambda: len(ages_at_purge(world)) == 3)
            assert not any(command.recursive for command in purges(world))

    run_virtually(day())


def test_they_go_at_a_bounded_rate():
    async def day():
        async with World(partitions=2) as world:
            node = await world.node(retain={"COMPLETED": 60.0}, retain_per_second=5.0)
            keys = [await world.start("chain", 0) for _ in range(175)]
            await world.ended(*keys)
            await until(lambda: node.stats.retention_purged == 175)
            times = sorted(
                event.at_us
                for events in world.journal.histories().values()
                for event in events
                if type(event) is WorkflowPurged
            )
            assert times[-1] - times[0] >= (175 - 50) / 5 * SECOND
            assert len(purges(world)) == 175
            await world.check()

    run_virtually(day())


def test_what_is_sent_again_has_no_second_effect_and_is_no_dead_letter():
    async def day():
        async with World() as world:
            node = await world.node(retain={"COMPLETED": 60.0})
            done = await world.start("chain", 1)
            await until(lambda: node.stats.retention_purged == 1)
            (command,) = purges(world)
            await world.send(done, command, command)
            await world.send("nobody", PurgeWorkflow(False, "retention/0.0.5", "", "retention", run="0.0.5"))
            await world.decided()
            assert [type(each) for each in world.journal.history(done)].count(WorkflowPurged) == 1
            assert node.stats.rejections == {"UnknownInstance": 1}
            assert world.dead_letters() == []
            # The same of somebody else is kept for whoever wants to know.
            await world.send("nobody", PurgeWorkflow(False, "mine", run="0.0.5"))
            await until(world.dead_letters)

    run_virtually(day())


def test_a_run_that_began_since_it_was_listed_stays():
    async def day():
        async with World() as world:
            node = await world.node(retain={"TERMINATED": 100.0})
            first = await terminated(world, "x")
            ordinary, runs = node.store.list, []

            async def slow(where, limit, after=""):
                page = await ordinary(where, limit, after)
                if page.rows and not runs:
                    runs.append(page.rows[0].run)
                    await world.send("x", StartWorkflow("waiting", command_id="again", reuse_id="ended"))
                    await world.send("x", TerminateWorkflow(command_id="and its end"))
                    await until(lambda: world.instance("x").run != runs[0] and world.status("x") == "TERMINATED")
                return page

            node.store.list = slow
            await until(lambda: node.stats.rejections["StaleRun"])
            assert world.status(first) == "TERMINATED"
            assert world.dead_letters() == []
            await until(lambda: world.status("x") == "PURGED")
            (ended,) = [each for each in world.journal.history("x")[-2:] if type(each) is WorkflowTerminated]
            purged = world.journal.history("x")[-1]
            assert (purged.run, runs) != (runs[0], [])
            assert purged.at_us - ended.at_us > 100 * SECOND
            await world.check()

    run_virtually(day())


@pytest.mark.parametrize("away", ["store", "log"])
def test_a_store_or_a_log_that_is_away_is_asked_later(away):
    async def day():
        async with World() as world:
            node = await world.node(retain={"COMPLETED": 100.0})
            done = await world.start("chain", 1)
            await world.ended(done)
            await world.caught_up()
            if away == "store":
                world.store_available = False
            else:
                node.log.append_faults += [CommitFailed("no"), CommitFailed("no")]
            await until(lambda: node.stats.retention_failures >= 2)
            assert world.status(done) == "COMPLETED"
            world.store_available = True
            await until(lambda: world.status(done) == "PURGED")
            await world.check()

    run_virtually(day())


def test_a_mistake_in_the_sweep_ends_neither_the_partition_nor_the_sweeping():
    async def day():
        async with World() as world:
            node = await world.node(retain={"COMPLETED": 100.0})
            ordinary, broken = node.store.list, iter([True, True])

            async def mistaken(*arguments):
                if next(broken, False):
                    raise KeyError("a mistake")
                return await ordinary(*arguments)

            node.store.list = mistaken
            done = await world.start("chain", 1)
            await until(lambda: world.status(done) == "PURGED")
            assert node.stats.retention_failures == 2
            await world.ended(await world.start("chain", 1))

    run_virtually(day())


def test_whoever_takes_over_goes_on_without_knowing_what_was_asked():
    async def day():
        async with World(partitions=2) as world:
            ages = {"retain": {"COMPLETED": 60.0}, "retain_per_second": 1.0}
            first = await world.node(**ages)
            keys = [await world.start("chain", 0) for _ in range(130)]
            await world.ended(*keys)
            await until(lambda: first.stats.retention_purged > 10)
            first.crash()
            second = await world.node(**ages)
            await until(lambda: len(ages_at_purge(world)) == 130, 2_000)
            assert second.stats.retention_purged > 60
            for key in keys:
                assert [type(each) for each in world.journal.history(key)].count(WorkflowPurged) == 1
            await world.check()

    run_virtually(day())


def test_what_cannot_be_old_enough_is_not_asked_for_and_what_was_too_young_not_again_at_once():
    async def day():
        async with World() as world:
            node = await world.node(retain={"COMPLETED": 10 * 86_400.0})
            asked, ordinary = [], node.store.list

            async def watched(where, limit, after=""):
                page = await ordinary(where, limit, after)
                asked.append((asyncio.get_running_loop().time(), where, len(page.rows)))
                return page

            node.store.list = watched
            for _ in range(3):
                await world.ended(await world.start("chain", 0))
            long_one = await world.start("waiting")
            await at(11 * 86_400)
            assert node.stats.retention_purged == 3
            await world.send(long_one, RaiseEvent("go", "true"))
            await world.ended(long_one)
            await at(12 * 86_400)
            now = asyncio.get_running_loop().time()
            wholes = [at for at, where, _ in asked if not where.created_from_us]
            assert len(wholes) <= now / 86_400 + 1
            assert len(asked) > 100 * len(wholes)
            assert sum(rows for *_, rows in asked) <= 3 + len(wholes)  # the long one, too young, by whole passes alone
            assert world.status(long_one) == "COMPLETED"
            await at(23 * 86_400)
            assert 10 * 86_400 < ages_at_purge(world)[long_one][1] < 11.1 * 86_400

    run_virtually(day())


def test_a_sweep_says_one_line_and_only_if_it_asked_for_something():
    async def day():
        async with World() as world:
            node = await world.node(retain={"COMPLETED": 60.0})
            keys = [await world.start("chain", 0) for _ in range(60)]
            await world.ended(*keys)
            await until(lambda: node.stats.retention_purged == 60)
            await at(2_000)

    structlog.configure(wrapper_class=structlog.BoundLogger)  # the folder's fixture silences it, and restores it
    with capture_logs() as lines:
        run_virtually(day())
    told = [line["count"] for line in lines if line["event"] == "ended instances are old enough to be purged"]
    assert sum(told) == 60
    assert len(told) <= 3


def test_nothing_is_sent_that_the_namespaces_members_cannot_read():
    async def day():
        async with World() as world:
            node = await world.node()
            await world.ended(await world.start("chain", 0))
            await world.caught_up()
            node.settings.retain = {"COMPLETED": 1.0}
            world.clock.step_us += 3_600 * SECOND
            for version, asked in ((1, 0), (2, 1)):
                ports = replace(node.service._ports, encode=Encoder(version))
                await Sweeper(ports, 1, node.settings, node.stats).sweep()
                assert node.stats.retention_asked == asked

    run_virtually(day())


def test_a_purge_for_its_age_tells_what_it_is():
    async def day():
        async with World() as world:
            node = await world.node(retain={"COMPLETED": 60.0})
            done = await world.start("chain", 1)
            await until(lambda: node.stats.retention_purged == 1)
            (command,) = purges(world)
            run = world.instance(done).run
            assert command == PurgeWorkflow(False, f"retention/{run}", "", "retention", run=run)

    run_virtually(day())
