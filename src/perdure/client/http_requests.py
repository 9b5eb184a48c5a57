"""Commands as requests to the gateway's /v1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from perdure.client.transport import ClientCommand
from perdure.client.wire import rfc3339
from perdure.core.commands import (
    PurgeWorkflow,
    RaiseEvent,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.telemetry.requests import carried

__all__ = ["HttpRequest", "request_for", "segment"]


@dataclass(slots=True, frozen=True)
class HttpRequest:
    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()


def segment(text: str) -> str:
    """One segment of a path, whatever the text: a slash in it does not part it, and ".." is no way up."""
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def request_for(instance_id: str, command: ClientCommand) -> HttpRequest:
    """POST to the verb's path. `minted` is not told: a repeat over another connection could not take it back."""
    headers = [(b"Idempotency-Key", command.command_id.encode())]
    if command.requested_by:
        headers.append((b"X-Requested-By", command.requested_by.encode()))
    headers += [(name.encode(), value) for name, value in carried(command)]
    path, query, payload = _parts(instance_id, command)
    if payload:
        headers.append((b"Content-Type", b"application/json"))
    return HttpRequest("POST", path, query, payload.encode(), headers)


def _parts(instance_id: str, command: ClientCommand) -> tuple[str, dict[str, str], str]:
    instance = f"/v1/instances/{segment(instance_id)}"
    match command:
        case StartWorkflow():
            query = {"instance_id": instance_id}
            if command.start_at_us:
                query["start_at"] = rfc3339(command.start_at_us)
            if command.rerun_of:
                query["rerun_of"] = command.rerun_of
            return f"/v1/workflows/{segment(command.name)}/start", query, command.input
        case RaiseEvent():
            return f"{instance}/raise-event/{segment(command.name)}", {}, command.data
        case SuspendWorkflow():
            return f"{instance}/pause", {}, ""
        case ResumeWorkflow():
            return f"{instance}/resume", {}, ""
        case TerminateWorkflow():
            return f"{instance}/terminate", {"recursive": _flag(command.recursive)}, command.output
        case PurgeWorkflow():
            return f"{instance}/purge", {"recursive": _flag(command.recursive)}, ""


def _flag(value: bool) -> str:
    return "true" if value else "false"
