"""Why a call cannot end: what every instance that is left waits for, in words."""

from __future__ import annotations

from typing import Any, Final

from perdure.client.client import AsyncWorkflowClient
from perdure.client.values import WorkflowDescription

__all__ = ["describe_waits"]

SHOWN_MAX: Final = 5
ACTIVE: Final = ["RUNNING", "PENDING", "SUSPENDED", "STALLED"]


async def describe_waits(client: AsyncWorkflowClient) -> str:
    """A sentence, and a line for each of the newest active instances."""
    page = await client.list_workflows(status=ACTIVE, limit=SHOWN_MAX, fetch_payloads=False)
    lines = []
    for state in page:
        found = await client.describe_workflow(state.instance_id)
        if found is not None:
            lines.append(f"  {_line(found)}")
    if page.next:
        lines.append("  … and others")
    head = "nothing that is still due would end this wait"
    if not lines:
        return f"{head}, and no instance is active"
    tail = "raise the event, resume, or wait with timeout_in_seconds; a workflow that goes on for ever is looked at by env.skip"
    return "\n".join([f"{head}. Active are:", *lines, tail])


def _line(found: WorkflowDescription) -> str:
    detail = found.detail
    stalled = detail.get("stalled")
    status = found.state.runtime_status.name
    if stalled:
        return f"{found.state.name} '{found.state.instance_id}' is {status} ({stalled['reason']}): {stalled['detail']}"
    awaited = ", ".join(_step(step) for step in detail.get("awaits", [])) or "nothing"
    at = f" {detail['at']}" if detail.get("at") else ""
    return f"{found.state.name} '{found.state.instance_id}' is {status} and awaits {awaited}{at}"


def _step(step: dict[str, Any]) -> str:
    kind = step["kind"]
    if kind == "event":
        return f"event {step['name']!r}"
    if kind == "activity":
        return f"activity {step['name']!r} (attempt {step['attempt']})"
    if kind == "child":
        return f"child '{step['childId']}'"
    return "a timer" if not step.get("timeoutOf") else f"a timer that bounds event {step['timeoutOf']!r}"
