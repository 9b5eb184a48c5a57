"""What an instance is doing, in words and numbers: for `describe`."""

from __future__ import annotations

from itertools import islice
from typing import Any

from perdure.core.events import ActivityScheduled, ChildScheduled, EventRaised, TimerCreated
from perdure.core.limits import DESCRIBED_MAX
from perdure.core.turn import Live

__all__ = ["describe"]


def describe(live: Live) -> dict[str, Any]:
    """JSON-ready: what it awaits since when, attempts, last failure, buffered events, why it is parked."""
    instance = live.instance
    out: dict[str, Any] = {
        "status": instance.status,
        "awaits": [_open_step(task) for task in islice(instance.open.values(), DESCRIBED_MAX)],
        "lastFailure": instance.last_failure or None,
        "suspended": instance.suspended,
        "factsWaiting": len(live.inbox),
    }
    more = len(instance.open)
    if instance.stalled is not None:
        out["stalled"] = {
            "reason": instance.stalled.reason,
            "detail": instance.stalled.detail,
            "sinceUs": instance.stalled.at_us,
        }
    buffered: dict[str, int] = {}
    for fact in live.inbox:
        if isinstance(fact, EventRaised):
            buffered[fact.name.lower()] = buffered.get(fact.name.lower(), 0) + 1
    if live.execution is not None:
        scheduler = live.execution.scheduler
        for name, queue in scheduler.buffer.items():
            buffered[name] = buffered.get(name, 0) + len(queue)
        waits = (waiter for waiting in scheduler.waiters.values() for waiter in waiting)
        out["awaits"] += [
            {"kind": "event", "name": waiter.name, "sinceUs": waiter.since_us}
            for waiter in islice(waits, DESCRIBED_MAX - len(out["awaits"]))
        ]
        more += scheduler.waits
        out["at"] = live.execution.location()
    out["bufferedEvents"] = dict(islice(buffered.items(), DESCRIBED_MAX))
    if len(buffered) > DESCRIBED_MAX:
        out["bufferedMore"] = sum(islice(buffered.values(), DESCRIBED_MAX, None))
    if more > len(out["awaits"]):
        out["awaitsMore"] = more - len(out["awaits"])
    return out


def _open_step(task: Any) -> dict[str, Any]:
    asked = task.asked
    step: dict[str, Any] = {"taskId": asked.task_id, "sinceUs": task.since_us}
    if isinstance(asked, ActivityScheduled):
        step |= {"kind": "activity", "name": asked.name, "attempt": task.attempt}
    elif isinstance(asked, ChildScheduled):
        step |= {"kind": "child", "name": asked.name, "childId": asked.child_id, "attempt": task.attempt}
    elif isinstance(asked, TimerCreated):
        step |= {"kind": "timer", "fireAtUs": asked.fire_at_us}
        if asked.event_name:
            step["timeoutOf"] = asked.event_name
    if task.retry_at_us:
        step["retryAtUs"] = task.retry_at_us
    return step
