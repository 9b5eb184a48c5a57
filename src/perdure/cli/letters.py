"""`perdure dead-letters list | show | replay | drop`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.cli.engine import connected
from perdure.cli.exits import Exit, UsageError
from perdure.cli.options import Database, Endpoint, Json
from perdure.cli.output import note, print_fields, print_json, print_line, print_table, shown
from perdure.cli.views import time_text
from perdure.client.letter_wire import letter_body, letter_record_body, settlement_body
from perdure.client.listing import PAGE_ROWS_MAX
from perdure.letters import DeadLetter, LetterFilter, LetterRecord, Settlement, Settling, check_letter_id

if TYPE_CHECKING:
    from perdure.client.sync import WorkflowClient

__all__ = ["dead_letters"]

PORTION = 20
"""Letters of one request of many: after each, progress is told and Ctrl-C ends in good order."""

REASON_CHARS = 80

LetterIds = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="As `dead-letters list` tells them.", show_default=False)
]
Of = Annotated[str, typer.Option("--instance", metavar="ID", help="Of this instance.", show_default=False)]
Origin = Annotated[
    str,
    typer.Option(metavar="TOPIC", show_default=False, help="From this topic: instances, activities, timers, …"),
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="With this in its reason, in any case.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Every open one that fits the filters, instead of IDs.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="With --all: at most so many.")]
By = Annotated[str, typer.Option("--by", metavar="WHO", help="Who asks: kept with the letter.", show_default=False)]

dead_letters = typer.Typer(
    help="Records that could not be handled: look at them, send them again, put them away.", no_args_is_help=True
)


@dead_letters.command("list")
def list_letters(
    state: Annotated[str, typer.Option(help="open, replayed, dropped or all.")] = "open",
    instance: Of = "",
    origin: Origin = "",
    reason: Reason = "",
    limit: Annotated[int, typer.Option(min=1, max=PAGE_ROWS_MAX, help="Letters of a page.")] = 50,
    page: Annotated[str, typer.Option(metavar="TOKEN", help="An earlier page's `next`.", show_default=False)] = "",
    as_json: Json = False,
    endpoint: Endpoint = None,
    db: Database = None,
) -> None:
    """List dead letters, oldest first."""
    where = LetterFilter(state, instance, origin, reason)
    if db is not None:
        _one_source(endpoint)
        from perdure.cli.letter_files import stored_letters  # noqa: PLC0415 - brings the engine along

        found = stored_letters(db, where, limit, page)
    else:
        with connected(endpoint) as client:
            found = client.portal.call(client.inner.transport.list_letters, where, limit, page)
    if as_json:
        print_json({"letters": [letter_body(each) for each in found.letters], "next": found.next})
        return
    print_table(("LETTER", "TIME", "STATE", "INSTANCE", "ORIGIN", "REASON"), [_row(each) for each in found.letters])
    if found.next:
        note(f"there are more: --page {found.next}")


@dead_letters.command("show")
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="<partition>-<offset>.", show_default=False)],
    as_json: Json = False,
    endpoint: Endpoint = None,
    db: Database = None,
) -> None:
    """Show a dead letter, and what its record holds. With --json: the original bytes, too."""
    check_letter_id(letter_id)
    if db is not None:
        _one_source(endpoint)
        from perdure.cli.letter_files import stored_letter  # noqa: PLC0415 - brings the engine along

        found = stored_letter(db, letter_id)
    else:
        with connected(endpoint) as client:
            found = client.get_dead_letter(letter_id)
    if as_json:
        print_json(letter_record_body(found))
    else:
        print_fields(_fields(found))


@dead_letters.command("replay")
def replay(
    letter_ids: LetterIds = None,
    every: All = False,
    instance: Of = "",
    origin: Origin = "",
    reason: Reason = "",
    limit: Limit = 1_000,
    by: By = "",
    as_json: Json = False,
    endpoint: Endpoint = None,
) -> None:
    """Send records again to where they came from, each once for ever."""
    where = _chosen(letter_ids, every, LetterFilter("open", instance, origin, reason))
    _settle("replay", letter_ids or [], where, by, limit=limit, as_json=as_json, endpoint=endpoint)


@dead_letters.command("drop")
def drop(
    letter_ids: LetterIds = None,
    every: All = False,
    instance: Of = "",
    origin: Origin = "",
    reason: Reason = "",
    limit: Limit = 1_000,
    by: By = "",
    as_json: Json = False,
    endpoint: Endpoint = None,
) -> None:
    """Put dead letters away: they are never replayed."""
    where = _chosen(letter_ids, every, LetterFilter("open", instance, origin, reason))
    _settle("drop", letter_ids or [], where, by, limit=limit, as_json=as_json, endpoint=endpoint)


def _chosen(letter_ids: list[str] | None, every: bool, where: LetterFilter) -> LetterFilter | None:  # noqa: FBT001, RUF100 - an option
    """The filter, if it is one that chooses. Raises UsageError, ValueError."""
    for each in letter_ids or []:
        check_letter_id(each)
    if every and letter_ids:
        raise UsageError("give IDs, or --all with filters")
    if not every and where != LetterFilter():
        raise UsageError("filters choose with --all only: give it, or IDs")
    if not every and not letter_ids:
        raise UsageError("give the IDs of dead letters, or --all; `perdure dead-letters list` shows them")
    return where if every else None


def _settle(
    settling: Settling,
    ids: Sequence[str],
    where: LetterFilter | None,
    by: str,
    *,
    limit: int,
    as_json: bool,
    endpoint: str | None,
) -> None:
    told: list[Settlement] = []
    try:
        with connected(endpoint) as client:
            for portion in _portions(client, ids, where, limit):
                request = client.inner.transport.ids.mint()
                some = client.portal.call(
                    client.inner.transport.settle_letters, portion, settling, request=request, requested_by=by
                )
                told += some
                if not as_json:
                    _tell(some)
                if where is not None:
                    note(f"{len(told)} letters so far, {sum(bool(each.reason) for each in told)} of them refused")
    except KeyboardInterrupt:
        note(f"stopped after {len(told)} letters; those under way may be settled, too: a repeat harms nothing")
        raise
    if as_json:
        print_json({"letters": [settlement_body(each) for each in told]})
    elif not told:
        note("no open dead letter fits")
    codes = {_CODES.get(each.reason, Exit.REJECTED) for each in told if each.reason}
    if codes:
        raise typer.Exit(codes.pop() if len(codes) == 1 else Exit.REJECTED)


_CODES = {"UnknownLetter": Exit.NOT_FOUND}


def _portions(
    client: WorkflowClient, ids: Sequence[str], where: LetterFilter | None, limit: int
) -> Iterator[Sequence[str]]:
    """Of the IDs that were given, else of what fits. What fails again and is a new letter by now is not taken up again:
    it would go round for ever."""
    if where is None:
        for begin in range(0, len(ids), PORTION):
            yield ids[begin : begin + PORTION]
        return
    after, taken = "", set[str]()
    while True:
        page = client.portal.call(client.inner.transport.list_letters, where, min(PORTION, limit - len(taken)), after)
        fitting = [each.letter_id for each in page.letters if each.replay_of not in taken]
        taken.update(fitting)
        if fitting:
            yield fitting
        after = page.next
        if after and len(taken) >= limit:
            note(f"{limit} letters were taken, and there may be more: give the command again, or --limit")
        if not after or len(taken) >= limit:
            return


def _tell(some: Sequence[Settlement]) -> None:
    for each in some:
        if each.reason:
            note(shown(each.message))
        else:
            print_line(f"{each.letter_id} {each.state}")


def _row(letter: DeadLetter) -> tuple[str, ...]:
    origin = letter.origin
    return (
        letter.letter_id,
        time_text(letter.at_us),
        letter.state,
        letter.instance_id or "",
        f"{origin.topic}/{origin.partition}/{origin.offset}" if origin is not None else "",
        shown(letter.reason, chars_max=REASON_CHARS),
    )


def _fields(found: LetterRecord) -> list[tuple[str, str]]:
    letter, body = found.letter, letter_record_body(found)
    row = dict(zip(("letter", "time", "state", "instance", "origin"), _row(letter), strict=False))
    fields = [
        *row.items(),
        ("reason", letter.reason),
        ("settled", time_text(letter.settled_at_us)),
        ("by", letter.settled_by),
        ("replay of", letter.replay_of),
        ("subscription", letter.subscription),
        ("cut from", f"{letter.truncated_bytes:,} bytes" if letter.truncated_bytes else ""),
        ("bytes", f"{letter.size_bytes:,}"),
        ("record", body["kind"] or ""),
    ]
    fields += [(f"header {shown(each['name'])}", each["text"] or each["value"]) for each in body["headers"]]
    if body["fields"] is not None:
        return fields + [(f"  {name}", str(value)) for name, value in body["fields"].items() if value not in ("", None)]
    return [*fields, ("text", body["text"]) if body["text"] is not None else ("base64", body["value"])]


def _one_source(endpoint: str | None) -> None:
    if endpoint is not None:
        raise UsageError("--endpoint asks an engine, --db reads a file: give one of them")
