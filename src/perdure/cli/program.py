"""The commands, put together; and how a command ends.

Whatever a user got wrong is one line on standard error and an exit code that means something (`exits`). A traceback
is what a defect of Perdure's own looks like.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from perdure.cli.bootstrap import bootstrap
from perdure.cli.dev import dev
from perdure.cli.exits import Exit, exit_of
from perdure.cli.letters import dead_letters
from perdure.cli.moving import grow, restore
from perdure.cli.output import note, shown
from perdure.cli.reading import describe, get, history, list_instances
from perdure.cli.run import run
from perdure.cli.starting import rerun, start
from perdure.cli.steering import pause, purge, raise_event, resume, terminate
from perdure.cli.subscriptions import subscriptions
from perdure.cli.upgrade import upgrade
from perdure.cli.waiting import wait

__all__ = ["program"]

# Typer brings click along under a name that changed between its versions; this is click's root in all of them.
_ClickError: type[Any] = typer.BadParameter.__mro__[2]


class _Program(TyperGroup):
    """Errors become lines and codes here, for the console script and for tests alike."""

    def main(self, *args: Any, **extra: Any) -> Any:
        sys.exit(self._code(*args, **(extra | {"standalone_mode": False})))

    def _code(self, *args: Any, **extra: Any) -> int:
        try:
            code = super().main(*args, **extra)
        except _ClickError as error:
            command = error.ctx.command_path if getattr(error, "ctx", None) is not None else "perdure"
            note(f"{shown(error.format_message())} ({command} --help)")
            return Exit.USAGE
        except (typer.Abort, KeyboardInterrupt):
            return Exit.INTERRUPTED
        except Exception as error:  # noqa: BLE001 - the end of the line: each has its code
            found = exit_of(error)
            if found is Exit.DEFECT:
                traceback.print_exc()
            else:
                note(shown(str(error)))
            return found
        return code if isinstance(code, int) else Exit.OK


program = typer.Typer(
    name="perdure", cls=_Program, add_completion=False, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


@program.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Durable workflows: run them, start them, look at them, steer them."""
    if version:
        from importlib import metadata  # noqa: PLC0415 - only for this

        try:
            typer.echo(metadata.version("perdure"))
        except metadata.PackageNotFoundError:
            typer.echo("0 (run from a checkout that is not installed)")
        raise typer.Exit(Exit.OK)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(Exit.USAGE)


for _name, _command in (
    ("dev", dev),
    ("run", run),
    ("bootstrap", bootstrap),
    ("grow", grow),
    ("restore", restore),
    ("upgrade", upgrade),
    ("start", start),
    ("get", get),
    ("describe", describe),
    ("list", list_instances),
    ("history", history),
    ("wait", wait),
    ("raise-event", raise_event),
    ("pause", pause),
    ("resume", resume),
    ("terminate", terminate),
    ("purge", purge),
    ("rerun", rerun),
):
    program.command(_name)(_command)
program.add_typer(dead_letters, name="dead-letters")
program.add_typer(subscriptions, name="subscriptions")
