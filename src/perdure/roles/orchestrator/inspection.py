"""Questions about an instance, answered by its owner from memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Final

from perdure.core.describe import describe
from perdure.core.replies import InstanceSnapshot
from perdure.core.turn import Live
from perdure.ports.errors import PortError
from perdure.ports.log import Log
from perdure.roles.orchestrator.batch import Batch
from perdure.roles.orchestrator.intake import Incoming
from perdure.roles.orchestrator.memory import Memory
from perdure.roles.orchestrator.position import Position
from perdure.roles.orchestrator.waiters import Waiters, is_reached

__all__ = ["Standing", "asleep", "inspect_all", "standing"]

LAG_SECONDS: Final = 1.0


def asleep(questions: list[Incoming], busy: Container[str], memory: Memory) -> list[Live]:
    """Instances to be described whose user code has not been made again since they were loaded: it knows what it awaits."""
    found: dict[str, Live] = {}
    for each in questions:
        live = memory.lives.get(each.instance_id)
        if each.command.detail and live is not None and each.instance_id not in busy and live.could_be_made:
            found[each.instance_id] = live
    return list(found.values())


@dataclass(slots=True, frozen=True)
class Standing:
    """How a partition stands, for whoever asks in detail about an instance of it. -1: not known."""

    partition: int
    owner: str = ""
    lag: int = -1
    store_lag: int = -1

    def told(self, live: Live) -> InstanceSnapshot:
        found = live.instance.snapshot(self.partition, json.dumps(describe(live), ensure_ascii=False))
        found.owner, found.lag, found.store_lag = self.owner, self.lag, self.store_lag
        return found


async def standing(log: Log, topic: str, position: Position, known: Standing) -> Standing:
    """With the commands of the partition that are not decided yet; the log is asked, and not waited for."""
    try:
        async with asyncio.timeout(LAG_SECONDS):
            _, end = await log.bounds(topic, known.partition)
    except (PortError, TimeoutError):
        return known
    return replace(known, lag=max(0, end - position.next_offset) + len(position.undecided))


def inspect_all(batch: Batch, questions: list[Incoming], memory: Memory, waiters: Waiters, known: Standing) -> None:
    """Answer what can be answered; keep who waits. Answers go out with the batch, after its commit."""
    now = asyncio.get_running_loop().time()
    for each in questions:
        live, request = memory.lives.get(each.instance_id), each.command
        if each.instance_id in memory.unreadable:
            batch.refuse(each, "Internal", memory.unreadable[each.instance_id])
        elif live is None or not live.instance.exists:
            batch.unknown(request, each.instance_id)
        elif is_reached(live.instance, request.until):
            told = known.told(live) if request.detail else live.instance.snapshot(known.partition)
            batch.inspected(request, told)
        elif not waiters.add(each.instance_id, request, now):
            batch.refuse(each, "TooManyWaiters", f"too many clients wait for '{each.instance_id}': ask again later")
