"""What is seen: a table that lives, on a terminal; a line for each change, elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from examples.demo.looks import Look

__all__ = ["Screen", "console"]

COLOURS = {"COMPLETED": "green", "RUNNING": "cyan", "TERMINATED": "magenta", "PENDING": "dim"}

console = Console(highlight=False)


class Screen:
    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown: dict[str, tuple[str, ...]] = {}

    def say(self, text: str) -> None:
        console.print(text)

    def show(self, looks: dict[str, Look]) -> None:
        """The instances as they are now."""
        if self._live is not None:
            self._live.update(_now(looks), refresh=True)
            return
        for each in looks.values():
            news = (each.status, str(each.generation), _progress(each), each.custom_status)
            if self._shown.get(each.part.id) != news:
                self._shown[each.part.id] = news
                self._show_line(each)

    def end(self, looks: dict[str, Look]) -> None:
        """The instances as they ended."""
        if self._live is not None:
            self._live.update("", refresh=True)
            self._live.stop()
        console.print(_in_the_end(looks))

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _show_line(self, each: Look) -> None:
        console.print(
            f"{time.monotonic() - self._begun:5.1f} s  {each.part.pattern:18} {each.status:10} "
            f"gen. {each.generation}  {each.events:3} events  {_progress(each):>8} activities  {each.custom_status}",
            soft_wrap=True,
        )


def _now(looks: dict[str, Look]) -> Table:
    table = _table("pattern", "status", "gen:", "events:", "activities:", "custom status")
    for each in looks.values():
        table.add_row(
            each.part.pattern, _coloured(each.status), str(each.generation), str(each.events), _progress(each),
            each.custom_status,
        )  # fmt: skip
    return table


def _in_the_end(looks: dict[str, Look]) -> Table:
    table = _table("pattern", "instance", "final status", "gen:", "events:", "activities:", "time:")
    for each in looks.values():
        table.add_row(
            each.part.pattern, each.part.id, _coloured(each.status), str(each.generation), str(each.events),
            str(len(each.completed)), f"{each.seconds:.1f} s",
        )  # fmt: skip
    return table


def _table(*columns: str) -> Table:
    """A colon after a column's name: numbers."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column.rstrip(":"), justify="right" if column.endswith(":") else "left", no_wrap=True)
    return table


def _coloured(status: str) -> str:
    return f"[{COLOURS.get(status, 'red')}]{status}[/]"


def _progress(each: Look) -> str:
    return f"{len(each.completed)} of {len(each.scheduled)}"
