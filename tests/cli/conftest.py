"""The command line in this process against a real engine in this process, and, for `dev`, in a process of its own."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from perdure.cli.program import program
from perdure.embedded import EmbeddedEngine

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / "src"


@dataclass
class Told:
    """How a command ended."""

    code: int
    out: str
    err: str

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
    return Told(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def _no_engine_of_the_environment(monkeypatch):
    for name in ("PERDURE_ENDPOINT", "DAPR_HTTP_ENDPOINT", "PERDURE_API_TOKEN", "PERDURE_DB", "PERDURE_GATEWAY_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli():
    return run_cli


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("engine") / "shop.db"


@pytest.fixture(scope="module")
def engine(database) -> Iterator[EmbeddedEngine]:
    """The shop, which commands without an endpoint find because it runs in this process."""
    sys.path.insert(0, str(HERE))
    try:
        shop = importlib.import_module("shop")
    finally:
        sys.path.remove(str(HERE))
    running = EmbeddedEngine(shop.app, database)
    running.start()
    yield running
    running.stop()


class DevProcess:
    """`perdure dev` as its user runs it, in a folder that holds an application."""

    def __init__(self, folder: Path, *arguments: str, **environ: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "perdure", "dev", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SOURCE), "PERDURE_GATEWAY_PORT": "0", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """Its next line of standard output, within 20 seconds."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        assert ready, "perdure dev says nothing"
        return self.process.stdout.readline()

    def end(self, number: int = signal.SIGTERM) -> Told:
        """Send a signal, and tell how it ended. Its output since the last line read comes with it."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> Told:
        out, err = self.process.communicate(timeout=20)
        return Told(self.process.returncode, out, err)


@contextlib.contextmanager
def dev_process(folder: Path, *arguments: str, **environ: str) -> Iterator[DevProcess]:
    dev = DevProcess(folder, *arguments, **environ)
    try:
        yield dev
    finally:
        if dev.process.poll() is None:
            dev.process.kill()
        dev.process.communicate()


@pytest.fixture
def dev():
    return dev_process


def until(fact, *, seconds: float = 10.0):
    """The first true answer of `fact`, asked again and again."""
    give_up_at = time.monotonic() + seconds
    while True:
        answer = fact()
        if answer or time.monotonic() > give_up_at:
            assert answer, f"{fact} did not come true within {seconds} s"
            return answer
        time.sleep(0.02)


@pytest.fixture
def free_port() -> int:
    """One on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
