"""The guard of development: it names what an orchestrator must not do, with file, line and fix.

While an orchestrator's code runs on its thread, the interpreter's profile hook tells of every call, and the
guard looks each up in the catalogue (`guarded`). It sees calls, not their absence: what a C function calls
inside itself (`map(time.time, …)`, `sorted(key=…)`) escapes it. So it finds the common mistakes; replay's
check against history finds the rest, later.

What does not count: calls that Perdure makes for the user (`ctx.uuid4()`, `ctx.logger`), and imports, which
read files but once per process.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal, Self

import structlog

from perdure.core.execution import StallSignal
from perdure.workflow import guarded

__all__ = ["Finding", "Guard", "GuardViolation"]

_PERDURE = str(Path(__file__).parent.parent) + os.sep
_LIBRARIES = tuple({path + os.sep for name, path in sysconfig.get_paths().items() if "lib" in name})
_STRUCTLOG = str(Path(structlog.__file__).parent) + os.sep


@dataclass(slots=True, frozen=True)
class Finding:
    """One place where an orchestrator does what it must not: `what` it uses there and the `fix`."""

    file: str
    line: int
    function: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.function} uses {self.what}: {self.fix}"


class GuardViolation(StallSignal):
    """Raised in the orchestrator at the call, in strict mode; the instance is parked."""

    def __init__(self, finding: Finding) -> None:
        super().__init__("guard", str(finding))
        self.finding = finding


class Guard:
    """Watches resumes of orchestrators. One for a process; safe from several threads.

    "warn" reports each place once, "strict" reports it every time and raises GuardViolation there, "off"
    costs nothing. `report` is called on the orchestrator's thread; by default it writes a warning to the log.
    """

    def __init__(
        self,
        mode: Literal["off", "warn", "strict"] = "warn",
        report: Callable[[Finding], None] | None = None,
    ) -> None:
        if mode not in ("off", "warn", "strict"):
            raise ValueError(f'a guard is "off", "warn" or "strict", not {mode!r}')
        self.mode = mode
        self._report = report or _log
        self._places: set[tuple[str, int]] = set()
        self._codes: dict[CodeType, guarded.Ban | None] = {}

    def watch(self) -> contextlib.AbstractContextManager[object]:
        """`with guard.watch(): <one resume of user code>`, on the thread that resumes."""
        return _NOTHING if self.mode == "off" else _Watch(self)

    def ban_on(self, code: CodeType) -> guarded.Ban | None:
        """Of a Python function; remembered, for it is asked at every call."""
        try:
            return self._codes[code]
        except KeyError:
            ban = guarded.of_code(code)
            if ban is None and code.co_filename.startswith(_STRUCTLOG):
                ban = guarded.PLAIN_LOG
            self._codes[code] = ban
            return ban

    def found(self, finding: Finding) -> None:
        """Report a finding; in strict mode, raise it."""
        place = (finding.file, finding.line)
        if self.mode == "strict" or place not in self._places:
            self._places.add(place)
            with contextlib.suppress(Exception):  # a broken reporter must not reach into user code
                self._report(finding)
        if self.mode == "strict":
            raise GuardViolation(finding)


class _Watch:
    """The profile hook on one thread, for one resume."""

    __slots__ = ("_boundary", "_earlier", "_guard", "_violation")

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._boundary: FrameType | None = None
        self._earlier: Any = None
        self._violation: GuardViolation | None = None

    def __enter__(self) -> Self:
        self._boundary = sys._getframe(1)
        self._earlier = sys.getprofile()
        sys.setprofile(self._hook)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        sys.setprofile(self._earlier)
        self._boundary = None
        # A hook that raises is taken off; user code that then ate the violation must not get away with it.
        if self._violation is not None and not isinstance(error, GuardViolation):
            raise self._violation

    def _hook(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call":
            ban = guarded.of_builtin(arg)
            caller: FrameType | None = frame
        elif event == "call":
            ban = self._guard.ban_on(frame.f_code)
            caller = frame.f_back
            if ban is not None and guarded.is_seeded_draw(frame):
                return
        else:
            return
        if ban is None:
            return
        at = self._user_frame(caller)
        if at is not None:
            try:
                code = at.f_code
                self._guard.found(Finding(code.co_filename, at.f_lineno, code.co_qualname, *ban))
            except GuardViolation as violation:
                self._violation = violation
                raise

    def _user_frame(self, frame: FrameType | None) -> FrameType | None:
        """The user's frame to name; None if the call is Perdure's own, or comes of an import.

        It is the nearest frame that is neither Perdure's nor a library's. An application may itself be
        installed among the libraries: then it is the orchestrator's own, the outermost one below the engine.
        """
        chain: list[FrameType] = []
        while frame is not None and frame is not self._boundary:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                return None
            chain.append(frame)
            frame = frame.f_back
        while chain and chain[-1].f_code.co_filename.startswith(_PERDURE):
            chain.pop()  # the engine, on its way from the boundary to the user's code
        for candidate in chain:
            path = candidate.f_code.co_filename
            if path.startswith(_PERDURE):
                return None
            if not _is_library(path):
                return candidate
        return chain[-1] if chain and chain[-1].f_code.co_flags & _RESUMED else None


_RESUMED = inspect.CO_GENERATOR | inspect.CO_COROUTINE


def _is_library(path: str) -> bool:
    return path.startswith((*_LIBRARIES, "<frozen")) or "site-packages" in path or "dist-packages" in path


def _log(finding: Finding) -> None:
    structlog.get_logger("perdure.guard").warning(
        "an orchestrator is not deterministic",
        at=f"{finding.file}:{finding.line}",
        function=finding.function,
        uses=finding.what,
        fix=finding.fix,
    )


_NOTHING = contextlib.nullcontext()
