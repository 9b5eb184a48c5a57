"""An instance, what it awaits and its history, as text for people. For scripts there is the gateway's JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final

from perdure.cli.output import print_fields, print_table, shown
from perdure.client.wire import rfc3339
from perdure.core.replies import InstanceSnapshot

__all__ = ["awaited", "detail_fields", "event_text", "instance_fields", "print_events", "print_instances", "time_text"]

_CELL_CHARS_MAX = 100

_PLACE: Final = frozenset({
    "run", "generation", "seq", "at_us", "cause", "command_id", "handled_to", "traceparent", "tracestate", "fingerprint",
    "stack_trace", "carried_command_ids", "carried_children", "created_at_us", "parent_run", "parent_generation",
    "parent_task_id", "parent_attempt",
})  # fmt: skip
"""Fields of events that place them, or that only the engine reads."""


def time_text(us: int) -> str:
    """`2026-01-31 12:00:00.123Z`: UTC, to the millisecond."""
    return rfc3339(us).replace("T", " ")[:23] + "Z" if us else ""


def instance_fields(known: InstanceSnapshot) -> list[tuple[str, str]]:
    """What `get`, `describe` and `wait` show."""
    return [
        ("instance", known.instance_id),
        ("workflow", known.name),
        ("status", known.status),
        ("created", time_text(known.created_at_us)),
        ("updated", time_text(known.updated_at_us)),
        ("parent", known.parent_id),
        ("input", known.input),
        ("custom status", known.custom_status),
        ("output", known.output),
        ("error", f"{known.error_type}: {known.error_message}" if known.error_type else ""),
        ("stack trace", known.stack_trace),
    ]


def detail_fields(known: InstanceSnapshot, detail: dict[str, Any]) -> list[tuple[str, str]]:
    """What only its owner knows: `detail` is `perdure.core.describe`'s."""
    stalled = detail.get("stalled")
    failure = detail.get("lastFailure")
    events = detail.get("bufferedEvents") or {}
    return [
        ("run", known.run),
        ("generation", str(known.generation)),
        ("events", str(known.events)),
        ("partition", str(known.partition) if known.partition >= 0 else ""),
        ("owner", known.owner),
        ("lag", f"{known.lag} commands" if known.lag >= 0 else ""),
        ("store lag", f"{known.store_lag} records" if known.store_lag >= 0 else ""),
        ("stalled", f"{stalled['reason']} since {time_text(stalled['sinceUs'])}" if stalled else ""),
        ("because", stalled["detail"] if stalled else ""),
        ("at", str(detail.get("at") or "").strip("()").removeprefix("at ")),
        ("awaits", "\n".join(_steps(detail))),
        ("last failure", str(failure) if failure else ""),
        (
            "buffered events",
            ", ".join([f"{name} ({count})" for name, count in events.items()] + _more(detail, "bufferedMore")),
        ),
        ("facts waiting", str(detail.get("factsWaiting") or "")),
    ]


def _steps(detail: dict[str, Any]) -> list[str]:
    return [_step_text(step, since=True) for step in detail.get("awaits", ())] + _more(detail, "awaitsMore")


def _more(detail: dict[str, Any], key: str) -> list[str]:
    return [f"and {detail[key]} more"] if detail.get(key) else []


def awaited(known: InstanceSnapshot, detail: dict[str, Any]) -> str:
    """One line of progress."""
    parts = [known.status]
    steps = detail.get("awaits", [])
    if detail.get("stalled"):
        parts.append(f"{detail['stalled']['reason']}: {detail['stalled']['detail']}")
    elif steps:
        count = len(steps) + int(detail.get("awaitsMore", 0))
        more = f" and {count - 3} more" if count > 3 else ""
        parts.append("awaits " + ", ".join(_step_text(step) for step in steps[:3]) + more)
    if known.custom_status:
        parts.append(known.custom_status)
    return " · ".join(shown(part, chars_max=2 * _CELL_CHARS_MAX) for part in parts)


def print_instances(found: Iterable[InstanceSnapshot]) -> None:
    rows = [
        (each.instance_id, each.name, each.status, time_text(each.created_at_us), time_text(each.updated_at_us))
        for each in found
    ]
    print_table(("INSTANCE", "WORKFLOW", "STATUS", "CREATED", "UPDATED"), rows)


def print_events(instance_id: str, events: Sequence[Any]) -> None:
    if events:
        print_fields([("instance", instance_id), ("run", events[0].run), ("generation", str(events[0].generation))])
    rows = [(str(each.seq), time_text(each.at_us), type(each).__name__, event_text(each)) for each in events]
    print_table(("SEQ", "TIME", "EVENT", "DETAIL"), rows)


def event_text(event: Any) -> str:
    """What an event says beyond its place: `name=charge task_id=1 input={"id":7}`."""
    said = []
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if field.name in _PLACE or value in ("", 0, None, False):
            continue
        if field.name.endswith("_at_us"):
            said.append(f"{field.name.removesuffix('_us')}={rfc3339(value)}")
        elif field.name == "retry":
            said.append(f"retry=up to {value.max_attempts} attempts")
        else:
            said.append(f"{field.name}={shown(str(value), chars_max=_CELL_CHARS_MAX)}")
    return " ".join(said)


def _step_text(step: dict[str, Any], *, since: bool = False) -> str:
    kind, name = step["kind"], step.get("name", "")
    if kind == "timer":
        text = f"timer due {time_text(step['fireAtUs'])}"
        if step.get("timeoutOf"):
            text += f" (limits the wait for event {step['timeoutOf']})"
    else:
        text = f"{kind} {name}"
    if kind == "child":
        text += f" {step['childId']}"
    if step.get("attempt", 1) > 1:
        text += f" (attempt {step['attempt']})"
    if step.get("retryAtUs"):
        text += f", retry at {time_text(step['retryAtUs'])}"
    return f"{text}, since {time_text(step['sinceUs'])}" if since else text
