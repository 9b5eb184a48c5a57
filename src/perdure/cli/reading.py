"""`perdure get`, `describe`, `list` and `history`."""

from __future__ import annotations

from typing import Annotated

import typer

from perdure.cli.engine import connected, described, inspected
from perdure.cli.exits import UsageError
from perdure.cli.inputs import moment
from perdure.cli.options import Database, Endpoint, InstanceId, Json
from perdure.cli.output import note, print_fields, print_json
from perdure.cli.views import detail_fields, instance_fields, print_events, print_instances
from perdure.client.listing import PAGE_ROWS_MAX, Where, make_filter
from perdure.client.stored import snapshot_of
from perdure.client.wire import event_body, instance_body

__all__ = ["describe", "get", "history", "list_instances"]

Time = "2026-01-31T12:00:00Z, or a period ago: 2h."


def get(instance_id: InstanceId, as_json: Json = False, endpoint: Endpoint = None, db: Database = None) -> None:
    """Show an instance: status, times, input, output, failure."""
    _one_source(endpoint, db)
    if db is not None:
        from perdure.cli.files import stored_instance  # noqa: PLC0415 - brings the engine along

        known = stored_instance(db, instance_id)
    else:
        with connected(endpoint) as client:
            known = inspected(client, instance_id)
    if as_json:
        print_json(instance_body(known))
    else:
        print_fields(instance_fields(known))


def describe(instance_id: InstanceId, as_json: Json = False, endpoint: Endpoint = None) -> None:
    """Show what an instance is doing: what it awaits since when, attempts, last failure, why it is parked."""
    with connected(endpoint) as client:
        known, detail = described(client, instance_id)
    if as_json:
        print_json(instance_body(known))
    else:
        print_fields([*instance_fields(known), *detail_fields(known, detail)])


def list_instances(
    name: Annotated[list[str] | None, typer.Option(help="Of this workflow; may be repeated.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="In this status; may be repeated.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=f"Created at or after {Time}")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help=f"Created before {Time}")] = None,
    prefix: Annotated[str, typer.Option(help="IDs that begin so.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=PAGE_ROWS_MAX, help="Instances of a page.")] = 50,
    page: Annotated[str, typer.Option(metavar="TOKEN", help="An earlier page's `next`.", show_default=False)] = "",
    as_json: Json = False,
    endpoint: Endpoint = None,
    db: Database = None,
) -> None:
    """List instances, newest first."""
    _one_source(endpoint, db)
    where = make_filter(_where(name or [], status or [], prefix, since, until))
    if db is not None:
        from perdure.cli.files import stored_page  # noqa: PLC0415 - brings the engine along

        found = stored_page(db, where, limit, page)
    else:
        with connected(endpoint) as client:
            found = client.portal.call(client.inner.transport.list, where, limit, page)
    instances = [snapshot_of(row) for row in found.rows]
    if as_json:
        print_json({"instances": [instance_body(each) for each in instances], "next": found.next})
        return
    print_instances(instances)
    if found.next:
        note(f"there are more: --page {found.next}")


def history(instance_id: InstanceId, as_json: Json = False, endpoint: Endpoint = None, db: Database = None) -> None:
    """Show the events of an instance's latest run and generation."""
    _one_source(endpoint, db)
    if db is not None:
        from perdure.cli.files import stored_events  # noqa: PLC0415 - brings the engine along

        events = stored_events(db, instance_id)
    else:
        with connected(endpoint) as client:
            events = client.get_history(instance_id)
    if as_json:
        print_json({"instanceID": instance_id, "events": [event_body(each) for each in events]})
    else:
        print_events(instance_id, events)


def _where(names: list[str], statuses: list[str], prefix: str, since: str | None, until: str | None) -> Where:
    where = Where(name=names, status=statuses, id_prefix=prefix)
    created_from, created_to = moment(since, "--since", back=True), moment(until, "--until", back=True)
    if created_from is not None:
        where["created_from"] = created_from
    if created_to is not None:
        where["created_to"] = created_to
    return where


def _one_source(endpoint: str | None, db: object) -> None:
    if endpoint is not None and db is not None:
        raise UsageError("--endpoint asks an engine, --db reads a file: give one of them")
