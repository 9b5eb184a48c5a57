"""Operators: each a process that looks at dead letters, replays or drops some, and upgrades the namespace when told to."""

from __future__ import annotations

import asyncio

from perdure.codec.versions import newest
from perdure.core.errors import PerdureError
from perdure.letters import DeadLetters, LetterFilter
from perdure.services.groups import Member
from perdure.services.upgrade import Upgrade
from tests.simulation.world.services import TOPICS, open_ports

AGAIN_S = 0.5


def operator_main(world, number):
    """`main` of the operator of this number."""

    async def main(process):
        process.hosts = []
        ports = open_ports(process)
        letters = DeadLetters(ports.log, TOPICS, ports.clock, ports.registry)
        errands = [at for at, each in enumerate(world.scenario["errands"]) if each["operator"] == number]
        await asyncio.gather(*(_run(world, process, ports, letters, index) for index in errands))
        await asyncio.get_running_loop().create_future()

    return main


async def _run(world, process, ports, letters, index):
    """One errand, until it is done; what an earlier life chose stays chosen, and is asked for under the same name."""
    errand = world.scenario["errands"][index]
    await asyncio.sleep(max(0.0, errand["at"] - asyncio.get_running_loop().time()))
    while index not in world.errands_done:
        try:
            if errand["what"] == "upgrade":
                if await _upgrade(world, process, ports):
                    world.errands_done.add(index)
                else:
                    await asyncio.sleep(AGAIN_S)
            else:
                await _settle(world, process, letters, index, errand)
        except PerdureError as error:
            world.trace(process.name, f"cannot {errand['what']} yet", str(error))
            await asyncio.sleep(AGAIN_S)


async def _settle(world, process, letters, index, errand):
    if index not in world.chosen:
        page = await letters.page(LetterFilter(), errand["most"])
        chosen = [each.letter_id for each in page.letters]
        world.chosen.setdefault(index, chosen)
        world.trace(process.name, f"is about to {errand['what']}", *chosen)
    chosen = world.chosen[index]
    told = await letters.settle(chosen, errand["what"], request=f"q-{index}", requested_by="op") if chosen else []
    if any(each.reason == "LetterNotSettled" for each in told):
        await asyncio.sleep(AGAIN_S)
        return
    world.settlements += [(world.now_us(), f"q-{index}", errand["what"], each) for each in told]
    world.errands_done.add(index)
    world.trace(
        process.name, f"has done its {errand['what']}", *((each.letter_id, each.state or each.reason) for each in told)
    )


async def _upgrade(world, process, ports):
    found = await Upgrade(ports.log, TOPICS, Members(world)).run()
    world.trace(process.name, "upgrades", found.writes, f"{len(found.behind)} behind")
    return found.is_done


class Members:
    """Of the namespace's groups: until some time there is one of an earlier release among them."""

    def __init__(self, world):
        self._world = world

    async def members(self, topics):
        world = self._world
        behind = world.loop.time() < world.scenario["writes"]["behind_until"]
        group = f"{topics.namespace}.orchestrator"
        found = [Member(group, name, "", newest()) for name in ("this", "that")]
        return [*found, Member(group, "earlier", "", 1)] if behind else found


def unfinished(world):
    return [at for at in range(len(world.scenario.get("errands", ()))) if at not in world.errands_done]
