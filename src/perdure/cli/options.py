"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Database", "Endpoint", "InstanceId", "Json", "NotRecursive"]

InstanceId = Annotated[str, typer.Argument(metavar="ID", help="The instance's ID.", show_default=False)]

Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint", metavar="URL", show_default=False,
        help="The gateway's root. Else PERDURE_ENDPOINT, DAPR_HTTP_ENDPOINT, then http://127.0.0.1:3500.",
    ),
]  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="Print JSON, as the gateway's /v1 answers, and nothing else.")]

Database = Annotated[
    Path | None,
    typer.Option(
        "--db", metavar="FILE", show_default=False,
        help="Read this database file instead of asking an engine; one may own it meanwhile.",
    ),
]  # fmt: skip

NotRecursive = Annotated[bool, typer.Option("--no-recursive", help="Leave its child workflows alone.")]
