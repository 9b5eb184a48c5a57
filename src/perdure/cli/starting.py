"""`perdure start` and `perdure rerun`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from perdure.cli.engine import connected
from perdure.cli.inputs import json_given, moment, period_s
from perdure.cli.options import Endpoint, InstanceId, Json
from perdure.cli.output import print_json, print_line
from perdure.cli.waiting import Timeout, finish

if TYPE_CHECKING:
    from perdure.client.sync import WorkflowClient

__all__ = ["rerun", "start"]

Wait = Annotated[bool, typer.Option("--wait", help="Wait for its end, as `perdure wait` does.")]
NewId = Annotated[
    str | None,
    typer.Option(
        "--id", metavar="ID", show_default=False, help="Letters, digits, - and _, at most 64. Else one is made."
    ),
]


def start(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The workflow's registered name.", show_default=False)],
    given: Annotated[
        str | None,
        typer.Option("--input", metavar="JSON|@FILE|-", show_default=False, help="Its input; - is standard input."),
    ] = None,
    instance_id: NewId = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME", show_default=False, help="Not before: 2026-01-31T12:00:00Z, or from now: 10m."
        ),
    ] = None,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
) -> None:
    """Start a workflow and print its instance ID."""
    payload = json_given(given, "--input")
    start_at = moment(at, "--at")
    timeout_s = period_s(timeout, "--timeout")
    with connected(endpoint) as client:
        started = client.schedule_new_workflow(name, input=payload, instance_id=instance_id, start_at=start_at)
        _started(client, started, timeout_s, wait=wait, as_json=as_json)


def rerun(
    instance_id: InstanceId,
    new_id: NewId = None,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
) -> None:
    """Start the same workflow with the same input under a new ID, and print that."""
    timeout_s = period_s(timeout, "--timeout")
    with connected(endpoint) as client:
        started = client.rerun_workflow(instance_id, new_instance_id=new_id)
        _started(client, started, timeout_s, wait=wait, as_json=as_json)


def _started(client: WorkflowClient, instance_id: str, timeout_s: float | None, *, wait: bool, as_json: bool) -> None:
    if wait:
        finish(client, instance_id, timeout_s, as_json=as_json)
    elif as_json:
        print_json({"instanceID": instance_id})
    else:
        print_line(instance_id)
