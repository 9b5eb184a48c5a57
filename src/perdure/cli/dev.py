"""`perdure dev`: the engine and its gateway in one process, on one file, until it is told to stop."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["GuardMode", "dev"]


class GuardMode(str, Enum):  # noqa: UP042 - typer shows its values
    WARN = "warn"
    STRICT = "strict"
    OFF = "off"


def dev(
    app: Annotated[str, typer.Option("--app", metavar="MODULE:APP", show_default=False, help="Where the App is.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="PERDURE_GATEWAY_PORT", help="Of the gateway; 0 takes a free one.")
    ] = 3500,
    host: Annotated[
        str, typer.Option(envvar="PERDURE_GATEWAY_HOST", help="Of the gateway. Beyond loopback it needs an API token.")
    ] = "127.0.0.1",
    db: Annotated[
        Path, typer.Option("--db", envvar="PERDURE_DB", metavar="FILE", help="Keeps everything; made if need be.")
    ] = Path("perdure.db"),
    guard: Annotated[
        GuardMode, typer.Option(help="What becomes of an orchestrator that reads the clock and the like: strict parks.")
    ] = GuardMode.WARN,
    retain: Annotated[
        str,
        typer.Option(
            envvar="PERDURE_RETAIN",
            metavar="AGES",
            show_default="for ever",
            help="How long ended instances are kept, such as COMPLETED=30d,FAILED=90d.",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Say in JSON, on one line, where it listens.")] = False,
) -> None:
    """Run an App: engine and gateway in this process, everything kept in one file. Ctrl-C ends it."""
    from perdure.cli.serving import Serving, serve  # noqa: PLC0415 - the engine and the web server

    serve(Serving(app, host, port, db, guard.value, retain), as_json=as_json)
