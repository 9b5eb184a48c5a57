"""Commands to an instance: `perdure raise-event`, `pause`, `resume`, `terminate` and `purge`."""

from __future__ import annotations

from typing import Annotated

import typer

from perdure.cli.engine import connected
from perdure.cli.inputs import json_given
from perdure.cli.options import Endpoint, InstanceId, Json, NotRecursive
from perdure.cli.output import print_json, print_line, shown

__all__ = ["pause", "purge", "raise_event", "resume", "terminate"]


def raise_event(
    instance_id: InstanceId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The event's name, in any case.", show_default=False)],
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="JSON|@FILE|-", show_default=False, help="Its data; - is standard input."),
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
) -> None:
    """Raise an event for an instance; it is kept until the workflow waits for it."""
    payload = json_given(data, "--data")
    with connected(endpoint) as client:
        client.raise_workflow_event(instance_id, name, data=payload)
    _accepted(instance_id, f"event {name} raised", as_json=as_json)


def pause(instance_id: InstanceId, as_json: Json = False, endpoint: Endpoint = None) -> None:
    """Suspend an instance until it is resumed; what comes meanwhile is recorded."""
    with connected(endpoint) as client:
        client.pause_workflow(instance_id)
    _accepted(instance_id, "paused", as_json=as_json)


def resume(instance_id: InstanceId, as_json: Json = False, endpoint: Endpoint = None) -> None:
    """End a pause; a stalled instance is tried again."""
    with connected(endpoint) as client:
        client.resume_workflow(instance_id)
    _accepted(instance_id, "resumed", as_json=as_json)


def terminate(
    instance_id: InstanceId,
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="JSON|@FILE|-", show_default=False, help="What it leaves as its output."),
    ] = None,
    no_recursive: NotRecursive = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
) -> None:
    """End an instance now, and its children."""
    payload = json_given(output, "--output")
    with connected(endpoint) as client:
        client.terminate_workflow(instance_id, output=payload, recursive=not no_recursive)
    _accepted(instance_id, "terminated", as_json=as_json)


def purge(
    instance_id: InstanceId, no_recursive: NotRecursive = False, as_json: Json = False, endpoint: Endpoint = None
) -> None:
    """Forget a finished instance, and its children."""
    with connected(endpoint) as client:
        client.purge_workflow(instance_id, not no_recursive)
    _accepted(instance_id, "purged", as_json=as_json)


def _accepted(instance_id: str, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"instanceID": instance_id})
    else:
        print_line(shown(f"{instance_id} {what}"))
