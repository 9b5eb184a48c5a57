"""Plays a scenario from its first start to its last stop, and passes the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from dataclasses import dataclass, field

import structlog

from perdure.cli.exits import Unusable
from tests.simulation.laws import verdict
from tests.simulation.scenario import SERVICES
from tests.simulation.world.ending import Ending
from tests.simulation.world.nemesis import Nemesis
from tests.simulation.world.world import World

CLOSING_S = 60.0
EXITS = (Unusable, TimeoutError)  # what a service may end by: it tells what it cannot do, or that it was cut off


@dataclass
class Outcome:
    """Of one scenario. `complaints`: by law; empty is sound. `lines`: the trace."""

    seed: int
    complaints: dict = field(default_factory=dict)
    lines: list = field(default_factory=list)
    evidence: object = None
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    faults: int = 0
    callbacks: int = 0

    @property
    def sound(self):
        return not self.complaints

    def text(self):
        """The trace, a line for each thing that happened."""
        return "".join(
            f"{at:11.6f}  {who:22} {what}{''.join(f'  {each}' for each in more)}\n"
            for at, who, what, more in self.lines
        )


def play(scenario):
    """The outcome. Nothing of the simulation outlives it."""
    began = time.process_time()
    world = World(scenario)
    outcome = Outcome(scenario["seed"])
    with quiet(world):
        nemesis = Nemesis(world)
        ending = Ending(world)
        try:
            outcome.evidence = world.loop.drive(_play(world, nemesis, ending, outcome))
        except Exception as error:  # the simulated world broke: that is a finding, too
            outcome.complaints["the_simulation_ran"] = [f"{type(error).__name__}: {error}"]
            world.trace("world", f"breaks: {type(error).__name__}: {error}")
            outcome.evidence = ending.evidence(finished=False)
        outcome.virtual_s = world.loop.time()
        outcome.callbacks, outcome.faults = world.loop.callbacks, nemesis.done
        # Where the chances stand tells a run that took another turn anywhere from one that did not.
        world.trace("world", "ends", f"{world.loop.callbacks} callbacks", f"{world.loop.random.random():.17f}")
        outcome.lines = list(world.lines)
        wind_up(world)
    if outcome.evidence is not None:
        outcome.complaints.update(verdict(outcome.evidence))
    outcome.cpu_s = time.process_time() - began
    return outcome


async def _play(world, nemesis, ending, outcome):
    world.create_topics()
    for process in list(world.processes.values()):
        process.start()
    nemesis.begin()
    world.strangers.begin()
    await asyncio.sleep(world.scenario["seconds"])
    world.trace("world", "no more faults")
    nemesis.heal()
    finished = await ending.come_to_rest()
    world.trace("world", "is at rest" if finished else "does not come to rest")
    evidence = ending.evidence(finished)
    outcome.complaints.update(await _close(world))
    return evidence


async def _close(world):
    """Every service is told to stop, and exits in order."""
    services = [each for each in world.processes.values() if each.role in SERVICES and each.running]
    exits = len(world.exits)
    for process in services:
        process.wanted = False
        process.stop()
    end = world.loop.time() + CLOSING_S
    while any(each.running for each in services) and world.loop.time() < end:
        await asyncio.sleep(0.5)
    late = [f"{each.name} has not drained" for each in services if each.running]
    wrong = [f"{name} exits by {error!r}" for name, error in world.exits[exits:]]
    found = {"services_drain": [*late, *wrong]} if late or wrong else {}
    unnamed = [f"{name} exits by {error!r}" for name, error in world.exits if not isinstance(error, EXITS)]
    return found | ({"services_exit_by_name": unnamed} if unnamed else {})


def wind_up(world):
    """Cancel what is left, the remains of the dead too, with nothing answering them any more."""
    world.silence()
    loop = world.loop
    loop.on_complaint = lambda text: None
    for process in world.processes.values():
        process.wanted = False
    for _ in range(20):
        tasks = [task for task in asyncio.all_tasks(loop) if not task.done()]
        if not tasks:
            break
        loop.resurrect()
        for task in tasks:
            task.cancel()
        loop.run_some()
    world.remains.clear()
    loop.close()


@contextlib.contextmanager
def quiet(world):
    """What the engine logs goes into the trace, and the collector waits until nothing can be confused by it."""
    saved = structlog.get_config()

    def note(_logger, method, event):
        text = event.pop("event")
        event.pop("exc_info", None)
        world.trace("log", f"{method}: {text}", dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[note], cache_logger_on_first_use=False)
    logger = logging.getLogger("asyncio")
    level, logger.level = logger.level, logging.CRITICAL
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()
        logger.setLevel(level)
        structlog.configure(**saved)
