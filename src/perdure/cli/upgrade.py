"""`perdure upgrade`: let a namespace be written as this release writes, once everybody there can read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.cli.exits import Conflict
from perdure.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from perdure.services.groups import Member

__all__ = ["upgrade"]

BEHIND_NAMED = 10


def upgrade(
    check: Annotated[bool, typer.Option("--check", help="Change nothing: say who reads what.")] = False,
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="SECONDS", min=0, help="Look again so long while somebody is behind."),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Raise the write version of the namespace on PERDURE_LOG. Twice is harmless; there is no way back."""
    from perdure.services.settings import read_client_settings  # noqa: PLC0415 - Kafka
    from perdure.services.upgrading import upgraded  # noqa: PLC0415

    settings = read_client_settings()
    found = upgraded(settings, check=check, wait_seconds=wait)
    namespace, members = settings.namespace, [asdict(each) for each in found.members]
    if as_json:
        print_json({"namespace": namespace, "writes": found.writes, "newest": found.newest, "members": members})
    else:
        print_table(
            ("GROUP", "MEMBER", "HOST", "READS"),
            [(each.group, each.client, each.host, str(each.reads)) for each in found.members],
        )
    if found.behind and found.is_done:
        raise Conflict(
            f"namespace {namespace} is written at version {found.writes}, and {_named(found.behind)}: end it at once, "
            "and start this release instead; what it could not read lies in the dead letters"
        )
    if found.behind:
        refusal = f"namespace {namespace} stays at write version {found.writes}: {_named(found.behind)}"
        if wait and not check:
            raise TimeoutError(f"{refusal}, after {wait:g} s")
        raise Conflict(
            f"{refusal}. Replace it by this release, or end it, and ask again; --wait SECONDS waits for that"
        )
    if not as_json:
        allowed = "and may be raised" if check and not found.is_done else "as this release writes"
        print_line(f"namespace {namespace} is at write version {found.writes} of {found.newest}, {allowed}")


def _named(behind: Sequence[Member]) -> str:
    listed = [
        f"{each.client} at {each.host} (of {each.group}) reads only {each.reads}" for each in behind[:BEHIND_NAMED]
    ]
    more = len(behind) - len(listed)
    return "; ".join(listed) + (f"; and {more} more" if more else "")
