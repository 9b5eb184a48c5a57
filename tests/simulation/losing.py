"""The log is lost: everything stops, the brokers begin anew with empty topics, the epoch is raised, and instances are asked for
their open steps (`perdure restore`). What is left is the store, so that the verdict here is of the store alone.

Clients are not asked again: what they were told of what the store did not have yet is lost with the log, and docs say so.
"""

from __future__ import annotations

import asyncio

from perdure.services.restoration import Restoration
from tests.faults.records import decode
from tests.simulation.evidence import Fact
from tests.simulation.model import read, stand
from tests.simulation.run import Outcome, quiet, wind_up
from tests.simulation.scenario import scenario_of
from tests.simulation.world.broker import Broker
from tests.simulation.world.ending import ROUND_S, Ending
from tests.simulation.world.nemesis import Nemesis
from tests.simulation.world.services import TOPICS, open_ports
from tests.simulation.world.world import World

STILL_S = 15.0  # until what was on its way to the store has arrived
ROUNDS_MAX = 60
ENDED = {"COMPLETED", "FAILED", "TERMINATED", "PURGED"}
OUTSIDE = ("published", "source", "errands", "writes", "retention")


def losing_scenario_of(seed):
    """That of the seed, of which the end is another: no strangers, who would have to publish again."""
    scenario = {key: value for key, value in scenario_of(seed).items() if key not in OUTSIDE}
    counts = {role: count for role, count in scenario["counts"].items() if role != "subscriber"}
    faults = [
        each for each in scenario["faults"]
        if each["kind"] != "registry" and each.get("role") not in ("subscriber", "operator")
    ]  # fmt: skip
    return {**scenario, "counts": counts, "faults": faults}


def play_and_lose(scenario):
    """`complaints` by law; `lines`: the trace."""
    world, outcome = World(scenario), Outcome(scenario["seed"])
    with quiet(world):
        try:
            outcome.complaints = world.loop.drive(_play(world))
        except Exception as error:  # the simulated world broke: that is a finding, too
            outcome.complaints["the_simulation_ran"] = [f"{type(error).__name__}: {error}"]
        outcome.lines = list(world.lines)
        wind_up(world)
    return outcome


async def _play(world):
    world.create_topics()
    for process in list(world.processes.values()):
        process.start()
    nemesis, ending = Nemesis(world), Ending(world)
    nemesis.begin()
    await asyncio.sleep(world.scenario["seconds"])
    nemesis.heal()
    asked = await _lose(world)
    for _ in range(ROUNDS_MAX):
        await asyncio.sleep(ROUND_S)
        active = [each for each, stored in world.store._instances.items() if stored.row.status not in ENDED]
        if not active:
            break
        for instance in active:
            ending._help(instance, _history(world, instance))
    return {law.__name__: found for law in LAWS if (found := list(law(world)))} if asked else {}


async def _lose(world):
    """How many instances were asked."""
    world.trace("world", "everything stops")
    for process in world.processes.values():
        process.wanted = False
        process.crash("is stopped")
    await asyncio.sleep(STILL_S)
    world.trace("world", "the log is lost")
    world.ops, world.broker = [], Broker(world)
    world.readers.clear()
    world.create_topics(epoch=1)
    for process in world.processes.values():
        process.wanted = True
        process.start()
    client = world.processes["client", 0]
    await asyncio.sleep(ROUND_S)
    ports = open_ports(client)
    return await Restoration(ports.log, ports.store, TOPICS, lambda count: world.trace("world", "asked", count)).run()


def _history(world, instance):
    row = world.store._instances[instance].row
    held = world.store.events.get((instance, row.run, row.generation), {})
    # Beyond the row's last one nobody reads: an append that failed half-way, of what was lost with the log, may have left it.
    facts = [(decode(value), value) for seq, (_, value) in sorted(held.items()) if seq <= row.last_seq]
    return [Fact(0, at, 0, instance, name, fields, value, "") for at, ((name, fields), value) in enumerate(facts)]


# -- laws ---------------------------------------------------------------------------------------------------------


def everything_ends(world):
    for instance, stored in world.store._instances.items():
        row = stored.row
        if row.status not in ENDED:
            facts = _history(world, instance)
            standing = stand(read(facts[0].fields["input"]), facts)
            yield f"{instance}/{row.run} is {row.status} and waits for steps {standing.blocking}, events {standing.waits}"


def code_does_what_its_plan_says(world):
    for instance, stored in world.store._instances.items():
        facts = _history(world, instance) if stored.row.status != "PURGED" else []
        if facts and (complaint := stand(read(facts[0].fields["input"]), facts).complaint):
            yield f"{instance}: {complaint}"


def histories_are_gapless(world):
    for place, held in world.store.events.items():
        if sorted(held) != list(range(1, len(held) + 1)):
            yield f"{place} has the sequence {sorted(held)}"


LAWS = (everything_ends, code_does_what_its_plan_says, histories_are_gapless)
