"""Standard output is for results, standard error for everything said about them.

Law: text that came from a workflow is shown, never obeyed: control characters are escaped, so that a payload cannot
steer a terminal, and nothing in it is markup.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import typer

__all__ = ["note", "print_fields", "print_json", "print_line", "print_table", "shown"]

_STYLES: Final[dict[str, dict[str, Any]]] = {
    "COMPLETED": {"fg": "green"}, "FAILED": {"fg": "red"}, "TERMINATED": {"fg": "magenta"}, "RUNNING": {"fg": "cyan"},
    "PENDING": {"fg": "blue"}, "SUSPENDED": {"fg": "yellow"}, "STALLED": {"fg": "red", "bold": True},
}  # fmt: skip


def shown(text: str, *, chars_max: int = 0) -> str:
    """One line that is safe to print; clipped if chars_max is given."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return f"{text[: chars_max - 1]}…" if 0 < chars_max < len(text) else text


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """ASCII, so that it survives any terminal and pipe."""
    typer.echo(json.dumps(value, indent=indent))


def print_line(text: str) -> None:
    typer.echo(text)


def note(text: str) -> None:
    """A sentence on standard error."""
    typer.echo(f"perdure: {text}", err=True)


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Names and values, aligned; what is empty is left out. A value of several lines follows its name, indented."""
    present = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in present), default=0)
    for name, value in present:
        lines = [shown(line) for line in value.rstrip("\n").split("\n")]
        if len(lines) == 1:
            typer.echo(f"{name:<{width}}  {_coloured(lines[0], lines[0])}")
        else:
            typer.echo("\n".join([name, *(f"  {line}" for line in lines)]))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns. No width cuts or wraps a line: an ID must be whole to be copied, and to be found by grep."""
    cells = [tuple(shown(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(tuple(headers), *cells, strict=True)]
    for row in (tuple(headers), *cells):
        padded = [_coloured(cell, f"{cell:<{width}}") for cell, width in zip(row, widths, strict=True)]
        typer.echo("  ".join(padded).rstrip())


def _coloured(value: str, padded: str) -> str:
    """A status in its colour, on a terminal."""
    style = _STYLES.get(value)
    return padded if style is None or not sys.stdout.isatty() else typer.style(padded, **style)
