"""A service as a process of its own, forked from the test: the App of a test is a closure, which no other program can
import.

Law: what is forked is a test in the middle of its run, and the child must be nothing but a service. It takes its own
standard streams, signals, warnings and log, runs what `perdure run` runs, and leaves by `os._exit`: no fixture, hook
or exit handler of the test's ever runs in it. It dies with the test's process.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import structlog

READY_SECONDS = 60
END_SECONDS = 40
LOG_TAIL = 6_000

PR_SET_PDEATHSIG = 1  # of Linux


class Forked:
    """`body` runs in the child; it is given the way to announce that it is ready."""

    def __init__(self, name: str, log: Path, body: Callable[[Callable[[Mapping[str, str]], None]], None]) -> None:
        self.name = name
        self._log = log
        self._code: int | None = None
        self._told, telling = os.pipe()
        parent = os.getpid()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that this process has threads: the child uses none of them
            self.pid = os.fork()
        if self.pid == 0:
            _be_a_service(body, log, telling, parent)
        os.close(telling)

    def ready(self) -> dict[str, str]:
        """What it told when it was ready."""
        deadline = time.monotonic() + READY_SECONDS
        text = b""
        while not text.endswith(b"\n"):
            readable, _, _ = select.select([self._told], [], [], max(0.0, deadline - time.monotonic()))
            assert readable, f"the {self.name} is not ready after {READY_SECONDS} s:\n{self.said}"
            part = os.read(self._told, 65_536)
            assert part, f"the {self.name} ended with {self.ended()} before it was ready:\n{self.said}"
            text += part
        return json.loads(text)

    @property
    def said(self) -> str:
        """The end of its log."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return text[-LOG_TAIL:]

    @property
    def alive(self) -> bool:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code is None

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self.pid, number)

    def ended(self) -> int:
        """Its exit code, once it has ended; it is killed when it does not."""
        deadline = time.monotonic() + END_SECONDS
        while self.alive:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self._code = -signal.SIGKILL
                raise AssertionError(f"the {self.name} did not end within {END_SECONDS} s:\n{self.said}")
            time.sleep(0.005)
        assert self._code is not None
        return self._code

    def close(self) -> None:
        self.signal(signal.SIGKILL)
        self.ended()
        os.close(self._told)


def _be_a_service(
    body: Callable[[Callable[[Mapping[str, str]], None]], None], log: Path, telling: int, parent: int
) -> NoReturn:
    code = 70
    try:
        _leave_the_test(log, parent)
        body(lambda facts: _write(telling, json.dumps(dict(facts)).encode() + b"\n"))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _leave_the_test(log: Path, parent: int) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number in (1, 2):
        os.dup2(output, number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(71)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    sys.unraisablehook, threading.excepthook = sys.__unraisablehook__, threading.__excepthook__
    warnings.resetwarnings()
    warnings.simplefilter("default")
    warnings.showwarning = _tell
    logging.getLogger().handlers.clear()
    structlog.reset_defaults()


def _tell(message, category, filename, lineno, file=None, line=None) -> None:
    """To the log: the test's own run collects warnings."""
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _write(file: int, text: bytes) -> None:
    while text:
        text = text[os.write(file, text) :]
