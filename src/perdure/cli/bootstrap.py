"""`perdure bootstrap`: topics, keyspace and tables; made, checked, or printed for those who make them."""

from __future__ import annotations

from typing import Annotated

import typer

from perdure.cli.exits import UsageError
from perdure.cli.output import print_json, print_line
from perdure.core.errors import PerdureError

__all__ = ["bootstrap"]


class NotAsNeeded(PerdureError):
    """The clusters answer, but what they hold is not what the engine needs."""


def bootstrap(
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of every topic; `perdure grow` adds some later. Else PERDURE_PARTITIONS, else 4.",
            show_default=False,
        ),
    ] = None,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", help="A task queue besides the default one; may be repeated.")
    ] = None,
    development: Annotated[
        bool, typer.Option("--development", help="One copy of everything: for a broker and a node on this machine.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing, need no right to: say what is missing.")
    ] = False,
    print_plan: Annotated[
        bool, typer.Option("--print", help="Connect to nothing: print topics, rights, connections and CQL.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --print: as JSON.")] = False,
) -> None:
    """Create what the services need on PERDURE_LOG and PERDURE_STORE. Twice is harmless."""
    from perdure.services.bootstrapping import bootstrapped, planned  # noqa: PLC0415 - Kafka and Cassandra
    from perdure.services.settings import read_settings  # noqa: PLC0415

    if check and print_plan:
        raise UsageError("--check looks at the clusters and --print does not: take one")
    settings = read_settings(partitions=partitions, replication=1 if development else None)
    queues = queue or []
    if print_plan:
        plan = planned(settings, queues, development=development)
        if as_json:
            print_json(plan.as_json())
        else:
            print_line("\n".join(plan.lines()))
        return
    faults = bootstrapped(settings, queues, development=development, check=check)
    if faults:
        raise NotAsNeeded("; ".join(faults))
    print_line(
        f"namespace {settings.namespace} is ready: {settings.partitions} partitions, keyspace {settings.keyspace}"
    )
