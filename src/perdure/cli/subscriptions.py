"""`perdure subscriptions`: which messages of which topics become starts and events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perdure.cli.exits import NotThere, UsageError
from perdure.cli.inputs import json_given
from perdure.cli.output import note, print_fields, print_json, print_line, print_table, shown

if TYPE_CHECKING:
    from perdure.roles.subscriptions.register import Changes, Declared
    from perdure.roles.subscriptions.subscription import Subscription

__all__ = ["subscriptions"]

subscriptions = typer.Typer(
    help="Messages of other topics that become starts and events. docs/subscriptions.md tells all of it.",
    no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


@subscriptions.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Its name; with --file, which of its subscriptions.")] = "",
    topic: Annotated[str, typer.Option("--topic", show_default=False, help="Where the messages are.")] = "",
    workflow: Annotated[str, typer.Option("--workflow", show_default=False, help="What a message starts.")] = "",
    event: Annotated[str, typer.Option("--event", show_default=False, help="Or the event that it raises.")] = "",
    instance_id: Annotated[
        str, typer.Option("--instance-id", metavar="JMESPATH", show_default=False, help="Gives the instance's ID.")
    ] = "",
    payload: Annotated[
        str, typer.Option("--input", metavar="JMESPATH", show_default=False, help="Gives input or data; else the value.")
    ] = "",
    when: Annotated[
        str, typer.Option("--when", metavar="JMESPATH", show_default=False, help="Only messages for which it gives true.")
    ] = "",
    form: Annotated[str, typer.Option("--format", metavar="json|avro", show_default=False, help="Of the values: else json.")] = "",
    schema: Annotated[
        Path | None, typer.Option("--schema", metavar="FILE", show_default=False, help="Avro schema of values that name none.")
    ] = None,
    begin: Annotated[
        str, typer.Option("--begin", metavar="now|beginning", show_default=False, help="Where it begins: else now.")
    ] = "",
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", show_default=False, help="Those of a file, subscriptions.toml.")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option("--try", metavar="JSON|@FILE|-", show_default=False, help="Add nothing: say what becomes of a message."),
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Add a subscription, or change it; it goes on where it stands. PERDURE_LOG names the log."""
    said = {
        "topic": topic, "workflow": workflow, "event": event, "instance_id": instance_id, "input": payload, "when": when,
        "format": form, "begin": begin,
    }  # fmt: skip
    with _told():
        found = _of_file(file, name, said, schema) if file is not None else [_of_options(name, said, schema)]
        if sample is not None:
            _show_sample(found, sample, as_json=as_json)
            return
        from perdure.services.declaring import added  # noqa: PLC0415 - Kafka

        changes, absent = added(found)
    _print_changes(changes, as_json=as_json)
    for each in absent:
        note(shown(f"topic {each} does not exist, or may not be read: subscribers wait for it"))


@subscriptions.command("list")
def list_subscriptions(as_json: Json = False) -> None:
    """Show the subscriptions there are."""
    with _told():
        from perdure.services.declaring import listed  # noqa: PLC0415 - Kafka

        found, faults = listed()
    if as_json:
        print_json({"subscriptions": [_fields(each) for each in found], "faults": dict(faults)})
        return
    rows = []
    for each in found:
        one = each.subscription
        makes = f"starts {one.workflow}" if one.workflow else f"raises {one.event}"
        origin = "file" if each.by_file else "command"
        rows.append(
            (one.name, one.topic, makes, one.instance_id.text, one.when.text if one.when else "", one.format, origin)
        )
    print_table(("NAME", "TOPIC", "MAKES", "INSTANCE ID", "WHEN", "FORMAT", "FROM"), rows)
    for _, fault in sorted(faults.items()):
        note(shown(fault))


@subscriptions.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.", show_default=False)], as_json: Json = False
) -> None:
    """Remove a subscription. Added again, it begins anew."""
    with _told():
        from perdure.services.declaring import removed  # noqa: PLC0415 - Kafka

        by_file = removed(name)
    if as_json:
        print_json({"removed": [name]})
    else:
        print_line(shown(f"{name} removed"))
    if by_file:
        note("it came from a file: take it out there too, or the next subscriber that starts brings it back")


@contextmanager
def _told() -> Iterator[None]:
    """The role's errors in the command line's words."""
    from perdure.roles.subscriptions.register import SubscriptionUnknown  # noqa: PLC0415 - Avro and JMESPath
    from perdure.roles.subscriptions.subscription import SubscriptionWrong  # noqa: PLC0415

    try:
        yield
    except SubscriptionWrong as error:
        raise UsageError(str(error)) from None
    except SubscriptionUnknown as error:
        raise NotThere(str(error)) from None


def _of_options(name: str, said: dict[str, str], schema: Path | None) -> Subscription:
    from perdure.roles.subscriptions.subscription import subscription_of  # noqa: PLC0415
    from perdure.services.declaring import topics_here  # noqa: PLC0415

    if not name:
        raise UsageError("a subscription has a name: perdure subscriptions add NAME --topic …, or take --file FILE")
    fields: dict[str, Any] = {key: value for key, value in said.items() if value}
    if schema is not None:
        fields["schema"] = _text_of(schema)
    return subscription_of(name, fields, topics_here())


def _of_file(file: Path, name: str, said: dict[str, str], schema: Path | None) -> list[Subscription]:
    from perdure.services.declaring import topics_here  # noqa: PLC0415
    from perdure.services.subscribing import read_subscription_file  # noqa: PLC0415

    if schema is not None or any(said.values()):
        raise UsageError("--file has all of it: leave the other options out, or change the file")
    if not file.is_file():
        raise NotThere(f"--file {file} names no file")
    found = read_subscription_file(file, topics_here())
    if name and name not in {each.name for each in found}:
        raise NotThere(
            f"{file} has no subscription '{name}': it has {', '.join(each.name for each in found) or 'none'}"
        )
    return [each for each in found if not name or each.name == name]


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotThere(f"--schema {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--schema {path} is not UTF-8") from None


def _show_sample(found: list[Subscription], given: str, *, as_json: bool) -> None:
    from perdure.roles.subscriptions.mapping import Misfit  # noqa: PLC0415
    from perdure.services.declaring import sampled  # noqa: PLC0415
    from perdure.workflow.payloads import parsed  # noqa: PLC0415

    if len(found) != 1:
        raise UsageError("--try is for one subscription: give its name before --file")
    try:
        made = sampled(found[0], parsed(json_given(given, "--try") or "null"))
    except Misfit as misfit:
        raise UsageError(f"this message would go to the dead letters: {misfit}") from None
    if made is None:
        if as_json:
            print_json(None)
        else:
            print_line("this message would be passed over: when does not give true")
        return
    command: Any = made.command
    verb = "start" if found[0].workflow else "raise"
    payload = command.input if found[0].workflow else command.data
    if as_json:
        print_json({verb: command.name, "instanceID": made.instance_id, "input": parsed(payload) if payload else None})
        return
    print_fields([(f"would {verb}", command.name), ("instance", made.instance_id), ("input", payload)])


def _print_changes(changes: Changes, *, as_json: bool) -> None:
    said = {kind: list(getattr(changes, kind)) for kind in ("added", "changed", "unchanged")}
    if as_json:
        print_json(said)
        return
    for kind, names in said.items():
        for each in names:
            print_line(f"{each} {kind}")


def _fields(declared: Declared) -> dict[str, Any]:
    from perdure.roles.subscriptions.subscription import fields_of  # noqa: PLC0415

    origin = "file" if declared.by_file else "command"
    return {"name": declared.subscription.name, **fields_of(declared.subscription), "from": origin}
