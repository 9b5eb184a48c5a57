"""`perdure run`: one role of the engine as a process of its own, on Kafka and Cassandra."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated

import typer

from perdure.cli.exits import UsageError
from perdure.cli.output import print_fields, print_json, print_line

__all__ = ["RoleName", "run"]


class RoleName(str, Enum):  # noqa: UP042 - typer shows its values
    ORCHESTRATOR = "orchestrator"
    ACTIVITY_WORKER = "activity-worker"
    TIMER = "timer"
    GATEWAY = "gateway"
    SUBSCRIBER = "subscriber"


def run(
    role: Annotated[RoleName, typer.Argument(help="Which service this process is.", show_default=False)],
    app: Annotated[
        str,
        typer.Option(
            "--app", metavar="MODULE:APP", envvar="PERDURE_APP", show_default=False,
            help="Where the App is; orchestrator and activity-worker need it.",
        ),
    ] = "",
    queue: Annotated[
        str | None,
        typer.Option("--queue", show_default=False, help="The task queue of an activity-worker. Else PERDURE_TASK_QUEUE."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say in JSON, on one line, that it is ready.")] = False,
) -> None:  # fmt: skip
    """Run one service on PERDURE_LOG and PERDURE_STORE until SIGTERM, which drains it. docs/services.md has the rest."""
    if not app and role in {RoleName.ORCHESTRATOR, RoleName.ACTIVITY_WORKER}:
        raise UsageError(f"the {role.value} runs your code: write --app module:app, or set PERDURE_APP")
    if queue and role is not RoleName.ACTIVITY_WORKER:
        raise UsageError(f"the {role.value} serves every task queue: --queue is for the activity-worker")
    from perdure.services.process import run_service  # noqa: PLC0415 - Kafka, Cassandra and the web server

    def announce(told: Mapping[str, str]) -> None:
        if as_json:
            print_json(dict(told), indent=None)
        else:
            print_line(f"perdure runs the {role.value}")
            print_fields([each for each in told.items() if each[0] != "service"])

    run_service(role.value, app, announce, task_queue=queue)
