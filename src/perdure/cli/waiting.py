"""Waiting for the end of a workflow, with its progress shown meanwhile."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.cli.engine import connected, described, inspected
from perdure.cli.exits import Exit
from perdure.cli.inputs import period_s
from perdure.cli.options import Endpoint, InstanceId, Json
from perdure.cli.output import note, print_fields, print_json, shown
from perdure.cli.views import awaited, instance_fields
from perdure.client.wire import instance_body
from perdure.core.replies import InstanceSnapshot

if TYPE_CHECKING:
    from perdure.client.sync import WorkflowClient

__all__ = ["Timeout", "finish", "wait"]

LOOK_SECONDS = 0.5
"""How often progress is asked for. The end itself is told by the engine, at once."""

Show = Callable[[str], None]

Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout", metavar="PERIOD", show_default=False, help="Give up after 30, 30s, 10m, 2h. Else wait for ever."
    ),
]


def wait(
    instance_id: InstanceId,
    timeout: Timeout = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
) -> None:
    """Wait until a workflow has ended, and show its progress. Exit 1 if it failed or was terminated."""
    timeout_s = period_s(timeout, "--timeout")
    with connected(endpoint) as client:
        finish(client, instance_id, timeout_s, as_json=as_json)


def finish(client: WorkflowClient, instance_id: str, timeout_s: float | None, *, as_json: bool) -> None:
    """Wait, print the instance, and end with the code that its status means. Raises TimeoutError, InstanceNotFound."""
    try:
        with _silence() if as_json else _progress(instance_id) as show:
            known = _ended(client, instance_id, timeout_s, show)
    except KeyboardInterrupt:
        note(f"'{shown(instance_id)}' goes on: only the waiting has ended")
        raise
    if as_json:
        print_json(instance_body(known))
    else:
        print_fields(instance_fields(known))
    if known.status != "COMPLETED":
        raise typer.Exit(Exit.FAILED)


def _ended(client: WorkflowClient, instance_id: str, timeout_s: float | None, show: Show) -> InstanceSnapshot:
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = LOOK_SECONDS if until is None else min(LOOK_SECONDS, until - time.monotonic())
        if left_s > 0:
            try:
                return inspected(client, instance_id, until="completed", timeout_s=left_s)
            except TimeoutError:
                pass  # a slice has passed: time to look
        known, detail = described(client, instance_id)
        text = awaited(known, detail)
        if until is not None and time.monotonic() >= until:
            raise TimeoutError(f"'{instance_id}' has not ended within {timeout_s:g} s: {text}")
        show(text)


@contextmanager
def _silence() -> Iterator[Show]:
    yield lambda _: None


@contextmanager
def _progress(instance_id: str) -> Iterator[Show]:
    """A live line on a terminal; else a line of standard error at each change."""
    if not sys.stderr.isatty():
        yield _each_change(lambda text: typer.echo(f"{shown(instance_id)} {text}", err=True))
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(shown(instance_id), total=None)
        yield lambda text: progress.update(task, description=f"{shown(instance_id)} {text}")


def _each_change(say: Show) -> Show:
    last = ""

    def show(text: str) -> None:
        nonlocal last
        if text != last:
            last = text
            say(text)

    return show
