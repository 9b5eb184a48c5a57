"""Running commands: in this process, and `perdure dev` in one of its own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from typer.testing import CliRunner

from perdure.cli.program import program

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / "src"


@dataclass
class Told:
    """How a command ended."""

    code: int
    out: str
    err: str
    both: str = ""  # in the order in which a terminal would show them

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """Its last line of standard error: what it says went wrong."""
        return self.err.rstrip("\n").split("\n")[-1]


def run_cli(*arguments: str, stdin: str | bytes = "") -> Told:
    result = CliRunner().invoke(program, list(arguments), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Told(result.exit_code, result.stdout, result.stderr, result.output)


class DevProcess:
    """`perdure dev` as its user runs it, in a folder that holds an application."""

    def __init__(self, folder: Path, *arguments: str, **environ: str) -> None:
        self.environ = {**os.environ, "PYTHONPATH": str(SOURCE), "PERDURE_GATEWAY_PORT": "0", **environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "perdure", "dev", *arguments],
            cwd=folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=_read, args=(self.process.stdout, self._lines.put)),
            threading.Thread(target=_read, args=(self.process.stderr, self._errors.append)),
        ]
        for reader in self._readers:
            reader.start()

    def line(self) -> str:
        """Its next line of standard output, within 20 seconds."""
        try:
            return self._lines.get(timeout=20)
        except queue.Empty:
            raise AssertionError(f"perdure dev says nothing. {''.join(self._errors)}") from None

    def end(self, number: int = signal.SIGTERM) -> Told:
        """Send a signal, and tell how it ended. Its output since the last line read comes with it."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> Told:
        code = self.process.wait(timeout=20)
        for reader in self._readers:
            reader.join()
        out = "".join(self._lines.get_nowait() for _ in range(self._lines.qsize()))
        return Told(code, out, "".join(self._errors))


def _read(stream: IO[str], take: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            take(line)


@contextlib.contextmanager
def dev_process(folder: Path, *arguments: str, **environ: str) -> Iterator[DevProcess]:
    dev = DevProcess(folder, *arguments, **environ)
    try:
        yield dev
    finally:
        if dev.process.poll() is None:
            dev.process.kill()
        dev.ended()


def until(fact, *, seconds: float = 10.0):
    """The first true answer of `fact`, asked again and again."""
    give_up_at = time.monotonic() + seconds
    while True:
        answer = fact()
        if answer or time.monotonic() > give_up_at:
            assert answer, f"{fact} did not come true within {seconds} s"
            return answer
        time.sleep(0.02)
