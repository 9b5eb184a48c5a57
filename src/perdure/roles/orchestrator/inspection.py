"""Questions about an instance, answered by its owner from memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Container

from perdure.core.describe import describe
from perdure.core.turn import Live
from perdure.roles.orchestrator.batch import Batch
from perdure.roles.orchestrator.intake import Incoming
from perdure.roles.orchestrator.memory import Memory
from perdure.roles.orchestrator.waiters import Waiters, is_reached

__all__ = ["asleep", "inspect_all"]


def asleep(questions: list[Incoming], busy: Container[str], memory: Memory) -> list[Live]:
    """Instances to be described whose user code has not been made again since they were loaded: it knows what it awaits."""
    found: dict[str, Live] = {}
    for each in questions:
        live = memory.lives.get(each.instance_id)
        if each.command.detail and live is not None and each.instance_id not in busy and live.could_be_made:
            found[each.instance_id] = live
    return list(found.values())


def inspect_all(batch: Batch, questions: list[Incoming], memory: Memory, waiters: Waiters, partition: int) -> None:
    """Answer what can be answered; keep who waits. Answers go out with the batch, after its commit."""
    now = asyncio.get_running_loop().time()
    for each in questions:
        live, request = memory.lives.get(each.instance_id), each.command
        if each.instance_id in memory.unreadable:
            batch.refuse(each, "Internal", memory.unreadable[each.instance_id])
        elif live is None or not live.instance.exists:
            batch.unknown(request, each.instance_id)
        elif is_reached(live.instance, request.until):
            detail = json.dumps(describe(live), ensure_ascii=False) if request.detail else ""
            batch.inspected(request, live.instance.snapshot(partition, detail))
        elif not waiters.add(each.instance_id, request, now):
            batch.refuse(each, "TooManyWaiters", f"too many clients wait for '{each.instance_id}': ask again later")
