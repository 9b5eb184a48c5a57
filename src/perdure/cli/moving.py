"""`perdure grow` and `perdure restore`: what an operator does to a whole namespace, seldom and with care."""

from __future__ import annotations

from typing import Annotated

import typer

from perdure.cli.output import note, print_line

__all__ = ["grow", "restore"]


def grow(
    partitions: Annotated[int, typer.Option("--partitions", min=1, max=10_000, help="How many there shall be.")],
    pass_on: Annotated[
        bool, typer.Option("--pass-on", help="Do not wait for commands that are not decided: they are passed on later.")
    ] = False,
) -> None:
    """Give the namespace on PERDURE_LOG more partitions, while no orchestrator runs. A run that was cut off is finished by another."""
    from perdure.services.moving import grown  # noqa: PLC0415 - Kafka and Cassandra
    from perdure.services.settings import read_settings  # noqa: PLC0415

    settings = read_settings()
    layout = grown(settings, partitions, pass_on=pass_on, tell=note)
    print_line(
        f"namespace {settings.namespace} has {layout.partitions} partitions, topic epoch {layout.epoch}: start its orchestrators "
        "again, and restart the other services when it suits"
    )


def restore() -> None:
    """Ask every instance that has not ended for its open steps anew: after the log of the namespace on PERDURE_LOG was lost."""
    from perdure.services.moving import restored  # noqa: PLC0415 - Kafka and Cassandra
    from perdure.services.settings import read_settings  # noqa: PLC0415

    settings = read_settings()
    asked = restored(settings, lambda so_far: note(f"{so_far} instances asked"))
    print_line(f"namespace {settings.namespace}: {asked} instances were asked for their open steps")
