"""The simulated world itself: its time, its order, its crashes; and that a seed says everything."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.simulation.run import play
from tests.simulation.scenario import scenario_of
from tests.simulation.world.loop import Lane, SimulationLoop, Spinning
from tests.simulation.world.process import Process

ROOT = Path(__file__).parents[2]
SEEDS = (3, 8, 11, 14)
SAY = """
import hashlib, sys
from tests.simulation.run import play
from tests.simulation.scenario import scenario_of
print(*(hashlib.sha256(play(scenario_of(int(seed))).text().encode()).hexdigest() for seed in sys.argv[1:]))
"""


@pytest.fixture
def loop():
    made = SimulationLoop(random.Random(1))
    yield made
    made.close()


def in_lane(loop, lane, work):
    return loop.create_task(work, context=lane.context)


# -- a seed says everything ----------------------------------------------------------------------------------------


def digest(seed):
    return hashlib.sha256(play(scenario_of(seed)).text().encode()).hexdigest()


def test_a_seed_gives_the_same_trace_byte_for_byte_twice_and_under_another_hash_seed():
    here = [digest(seed) for seed in SEEDS]
    assert here == [digest(seed) for seed in SEEDS]
    environ = {**os.environ, "PYTHONHASHSEED": "4711"}
    ran = subprocess.run(
        [sys.executable, "-c", SAY, *map(str, SEEDS)],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert ran.stdout.split() == here


def test_two_seeds_give_two_traces():
    assert len({digest(seed) for seed in SEEDS}) == len(SEEDS)


# -- time and order ------------------------------------------------------------------------------------------------


def test_time_moves_only_when_nobody_can_go_on_and_at_once_to_the_next_timer(loop):
    async def day():
        seen = [loop.time()]
        await asyncio.sleep(3600)
        seen.append(loop.time())
        return seen

    assert loop.drive(day()) == [0.0, 3600.0]


def orders(seed, count=6):
    """In which order callbacks of two processes ran that could all run at once."""
    loop = SimulationLoop(random.Random(seed))
    one, two, ran = Lane("one"), Lane("two"), []

    async def day():
        for number in range(count):
            for lane in (one, two):
                loop.call_soon(ran.append, (lane.name, number), context=lane.context)
        await asyncio.sleep(1)

    loop.drive(day())
    loop.close()
    return ran


def test_a_process_keeps_its_own_order_and_the_seed_mixes_processes():
    mixed = [orders(seed) for seed in range(20)]
    for ran in mixed:
        for name in ("one", "two"):
            assert [number for who, number in ran if who == name] == list(range(6))
    assert len({tuple(ran) for ran in mixed}) > 10


def test_who_never_rests_is_named(loop):
    async def spins():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Spinning):
        loop.drive(spins())


# -- processes -----------------------------------------------------------------------------------------------------


class Yard:
    """What a process needs of a world."""

    def __init__(self, loop):
        self.loop = loop
        self.seed = 1
        self.over = False
        self.remains, self.said = [], []

    def trace(self, *what):
        self.said.append(what)

    def keep_remains(self, lane):
        self.remains += [each for each in asyncio.all_tasks(self.loop) if each.get_name().startswith(f"{lane.name}#")]

    def gone(self, process, lane):
        pass

    def note_exit(self, process, error):
        self.said.append(("exit", error))

    def reachability_changed(self, process):
        pass


def test_a_crash_resumes_nothing_cancels_nothing_and_runs_no_finally(loop):
    told = []

    async def main(process):
        try:
            told.append("begins")
            await asyncio.sleep(1)
            told.append("went on")
        except asyncio.CancelledError:
            told.append("cancelled")
        finally:
            told.append("finally")

    async def day():
        process = Process(Yard(loop), "role", 0, main)
        process.start()
        loop.call_later(0.5, process.crash)
        await asyncio.sleep(10)
        assert not process.running

    loop.drive(day())
    assert told == ["begins"]


def test_a_crash_can_come_between_any_two_awaits(loop):
    ends = set()

    async def main(process):
        for step in range(5):
            process.steps = step
            await asyncio.sleep(0)
        process.steps = "all"

    async def day():
        for after in range(1, 8):
            process = Process(Yard(loop), "role", after, main)
            process.start()
            process.after(after, process.crash)
            await asyncio.sleep(1)
            ends.add(process.steps)

    loop.drive(day())
    assert ends == {0, 1, 2, 3, 4, "all"}


def test_a_paused_process_does_nothing_and_goes_on_with_all_that_came_meanwhile(loop):
    ticks = []

    async def main(process):
        while True:
            await asyncio.sleep(1)
            ticks.append(loop.time())

    async def day():
        process = Process(Yard(loop), "role", 0, main)
        process.start()
        await asyncio.sleep(2.5)
        process.pause()
        await asyncio.sleep(5)
        assert ticks == [1.0, 2.0]
        process.go_on()
        await asyncio.sleep(0.1)
        assert ticks == [1.0, 2.0, 7.5]
        process.crash()

    loop.drive(day())


def test_what_a_dead_process_had_sent_arrives_and_what_it_had_not_does_not():
    from tests.simulation.servers.clusters import CalmWorld
    from tests.simulation.world.network import Host

    arrived = []

    async def day():
        world = CalmWorld()
        lane = Lane("dead")
        process = SimpleNamespace(lane=lane, name="dead", random=random.Random(2), slowness_s=0.0, cut_from=set())
        host = Host(world, process)

        async def work():
            await host.call("log", lambda: arrived.append("first"), "first")
            await host.call("log", lambda: arrived.append("second"), "second")

        loop.create_task(work(), context=lane.context)
        await asyncio.sleep(0)
        loop.bury(lane)
        await asyncio.sleep(10)

    loop = SimulationLoop(random.Random(1))
    loop.drive(day())
    loop.close()
    assert arrived in (["first"], [])
    assert "second" not in arrived
