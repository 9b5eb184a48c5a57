"""Somebody's code kills the process: the instance is found and parked, and everybody else goes on."""

import asyncio

import pytest

from perdure.core.commands import RaiseEvent, ResumeWorkflow, StartWorkflow
from perdure.roles.orchestrator import InlineDecider

from .programs import app_of, chain, collector
from .world import Fault, Node, World, run_virtually, until

DEADLY = set()  # instances whose code takes the process with it


class Died(BaseException):
    pass


def deadly(ctx, count: int):
    found = []
    for _ in range(count):
        found.append((yield ctx.wait_for_external_event("e")))
        if ctx.instance_id in DEADLY:
            raise Died
    return found


class MortalDecider(InlineDecider):
    """When user code dies, so does everything: the turn never returns, nothing is cleaned up."""

    node: Node

    def __init__(self):
        super().__init__()
        self.decided = []
        self.dead = False

    def runner(self, function, argument):
        try:
            return function(argument)
        except Died:
            self.dead = True
            raise

    async def run(self, turns):
        self.decided.append([turn.instance.instance_id for turn in turns])
        for turn in turns:
            turn.run()
            if self.dead:
                self.node.crash()
                await asyncio.get_running_loop().create_future()

    async def let_go(self, lives):
        return


async def _mortal(world, **settings):
    decider = MortalDecider()
    node = Node(world, f"node-{len(world.nodes)}", decider=decider, **settings)
    decider.node = node
    world.nodes.append(node)
    await node.service.start()
    return node


async def _live_and_die(world, lives_max=30, **settings):
    """Processes one after the other, until one lives on; all of them."""
    nodes = []
    while len(nodes) < lives_max:
        nodes.append(node := await _mortal(world, **settings))
        for _ in range(200):
            await asyncio.sleep(0.05)
            if node.log.closed:
                break
        else:
            return nodes
    raise AssertionError("every process died")


@pytest.fixture(autouse=True)
def _nobody_is_deadly():
    DEADLY.clear()
    yield
    DEADLY.clear()


def _world():
    return World(app=app_of(deadly, chain, collector))


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("slow_store", [False, True], ids=["", "slow store"])
def test_the_instance_that_kills_its_owners_is_parked_and_the_others_go_on(place, slow_store):
    async def day():
        async with _world() as world:
            first = await world.node()
            keys = [await world.start("deadly", 2, f"k{n}") for n in range(7)]
            await world.check()
            await first.stop()
            DEADLY.add(keys[place])
            await world.log.append([world.out(key, RaiseEvent("e", "1")) for key in keys])
            fresh = await world.start("chain", 1)
            if slow_store:
                world.slow_loads_s = 0.3
            nodes = await _live_and_die(world)
            assert len(nodes) == 5  # three die, the fourth writes down whom it tries and dies, the fifth lives
            await world.decided()
            stalled = world.instance(keys[place])
            assert stalled.status == "STALLED"
            assert stalled.stalled.reason == "crash"
            await world.ended(fresh)
            others = [key for key in keys if key != keys[place]]
            await world.log.append([world.out(key, RaiseEvent("e", "2")) for key in keys])
            await world.ended(*others)
            assert [world.output(key) for key in others] == [[1, 2]] * 6
            DEADLY.clear()
            await world.send(keys[place], ResumeWorkflow())
            await world.ended(keys[place])
            assert world.output(keys[place]) == [1, 2]
            await world.check()

    run_virtually(day())


def test_in_caution_one_instance_at_a_time_is_named_before_it_is_tried():
    async def day():
        async with _world() as world:
            first = await world.node()
            keys = [await world.start("deadly", 2, f"k{n}") for n in range(4)]
            await world.check()
            await first.stop()
            DEADLY.add(keys[2])
            await world.log.append([world.out(key, RaiseEvent("e", "1")) for key in keys])
            nodes = await _live_and_die(world)
            for batch in nodes[3].decider.decided:
                assert len(batch) == 1
            markers = [marker for _, _, marker in world.journal.markers(0) if marker.owner == "node-4"]
            named = [marker.trying for marker in markers if marker.trying]
            assert named[-1] == keys[2]
            assert set(named) <= set(keys)
            await world.decided()
            world.journal.check()

    run_virtually(day())


def test_two_killers_are_both_found():
    async def day():
        async with _world() as world:
            first = await world.node()
            keys = [await world.start("deadly", 2, f"k{n}") for n in range(5)]
            await world.check()
            await first.stop()
            DEADLY.update({keys[1], keys[3]})
            await world.log.append([world.out(key, RaiseEvent("e", "1")) for key in keys])
            await _live_and_die(world)
            await world.decided()
            assert [world.status(key) for key in keys] == ["RUNNING", "STALLED", "RUNNING", "STALLED", "RUNNING"]
            await world.check()

    run_virtually(day())


def test_a_killer_whose_commands_keep_coming_with_others_is_found():
    async def day():
        async with _world() as world:
            first = await world.node()
            keys = [await world.start("deadly", 40, f"k{n}") for n in range(3)]
            await world.check()
            await first.stop()
            DEADLY.add(keys[1])
            feeding = asyncio.create_task(_feed(world, keys))
            await _live_and_die(world)
            await feeding
            await world.decided()
            assert world.instance(keys[1]).stalled.reason == "crash"
            await world.ended(keys[0], keys[2])
            assert world.output(keys[0]) == world.output(keys[2]) == list(range(40))
            await world.check()

    async def _feed(world, keys):
        for number in range(40):
            await world.log.append([world.out(key, RaiseEvent("e", str(number))) for key in keys])
            await asyncio.sleep(0.02)

    run_virtually(day())


def test_a_start_whose_code_kills_at_once_is_parked():
    def fatal(ctx, _):
        raise Died
        yield

    async def day():
        async with World(app=app_of(fatal, chain)) as world:
            await world.start("fatal", instance_id="bad")
            good = await world.start("chain", 1)
            await _live_and_die(world)
            await world.ended(good)
            assert world.instance("bad").stalled.reason == "crash"
            await world.check()

    run_virtually(day())


@pytest.mark.parametrize("fault", Fault, ids=lambda each: each.name.lower())
@pytest.mark.parametrize("count", [3, 5, 9])
def test_failed_commits_are_no_deaths(fault, count):
    async def day():
        async with _world() as world:
            node = await world.node()
            keys = [await world.start("collector", 1) for _ in range(4)]
            await world.check()
            bad = {"left": count}

            def fail_batches(number, records):
                if len(records) > 1 and bad["left"]:  # a marker alone goes through: the takeover succeeds
                    bad["left"] -= 1
                    world.broker.fail_next("commit", fault)

            world.broker.before_commit = fail_batches
            for key in keys:
                await world.send(key, RaiseEvent("e", "1"))
            await world.ended(*keys)
            assert {world.status(key) for key in keys} == {"COMPLETED"}
            assert not [marker for _, _, marker in world.journal.markers(0) if marker.trying]
            assert node.stats.stalled == 0
            await world.check()

    run_virtually(day())


def test_restarts_without_work_are_no_deaths():
    async def day():
        async with _world() as world:
            for _ in range(6):
                node = await world.node()
                await asyncio.sleep(1)
                await node.stop()
            node = await world.node()
            key = await world.start("chain", 1)
            await world.ended(key)
            assert not [marker for _, _, marker in world.journal.markers(0) if marker.trying]
            assert max(marker.takeovers for _, _, marker in world.journal.markers(0)) <= 1
            await world.check()

    run_virtually(day())


def test_clean_stops_between_batches_are_no_deaths():
    async def day():
        async with _world() as world:
            key = await world.start("collector", 8)
            for number in range(8):
                node = await world.node()
                await world.send(key, RaiseEvent("e", str(number)))
                await until(lambda number=number: world.instance(key).custom_status == str(number + 1))
                await node.stop()
            assert world.output(key) == list(range(8))
            assert not [marker for _, _, marker in world.journal.markers(0) if marker.trying]

    run_virtually(day())


def test_caution_survives_a_death_for_another_reason():
    """The name in the marker is not the killer, the machine went down: it is parked all the same, and can be resumed."""

    async def day():
        async with _world() as world:
            first = await world.node()
            keys = [await world.start("deadly", 1, f"k{n}") for n in range(3)]
            await world.check()
            await first.stop()
            await world.log.append([world.out(key, RaiseEvent("e", "1")) for key in keys])
            for _ in range(3):
                node = await _mortal(world)
                node.log.hold_commits()
                await until(lambda node=node: node.service.owners)
                node.crash()
                await asyncio.sleep(0.1)
            await world.node()
            await world.decided()
            for key in keys:
                if world.status(key) == "STALLED":
                    await world.send(key, ResumeWorkflow())
            await world.ended(*keys)
            await world.check()

    run_virtually(day())


def test_a_new_start_ends_no_caution_while_old_commands_wait():
    async def day():
        async with _world() as world:
            first = await world.node()
            keys = [await world.start("deadly", 2, f"k{n}") for n in range(3)]
            await world.check()
            await first.stop()
            DEADLY.add(keys[1])
            await world.log.append([world.out(key, RaiseEvent("e", "1")) for key in keys])
            for _ in range(3):
                node = await _mortal(world)
                await until(lambda node=node: node.log.closed)
            world.slow_loads_s = 1.0
            fourth = await _mortal(world)
            for number in range(5):
                await asyncio.sleep(0.2)
                await world.send(f"new{number}", StartWorkflow("chain", "1", f"n{number}"))
            await until(lambda: fourth.log.closed)
            assert world.journal.markers(0)[-1][2].trying == keys[1]
            world.slow_loads_s = 0.0
            await _live_and_die(world)
            await world.ended(*(f"new{number}" for number in range(5)))
            assert world.instance(keys[1]).stalled.reason == "crash"
            await world.check()

    run_virtually(day())
