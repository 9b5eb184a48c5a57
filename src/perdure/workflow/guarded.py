"""What an orchestrator must not call, each with the way that replays: the guard's catalogue.

Two tables, for the interpreter tells of two kinds of call: of C functions (by the object called) and of
Python ones (by their code). A Python function of the standard library needs a row only where its name helps
more than that of the C function it ends in.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
import threading
import uuid
from datetime import date
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

__all__ = ["PLAIN_LOG", "Ban", "is_seeded_draw", "of_builtin", "of_code"]


class Ban(NamedTuple):
    what: str  # the call, as a reader knows it
    fix: str


_CLOCK = "use ctx.current_utc_datetime"
_CHANCE = "use ctx.random(), ctx.random_int() or ctx.random_choice()"
_UUID = "use ctx.uuid4()"
_WORLD = "do it in an activity: yield ctx.call_activity(...)"
_SLEEP = "use yield ctx.create_timer(timedelta(...))"
_THREAD = "call activities in parallel: yield wf.when_all([ctx.call_activity(...), ...])"
_LOG = "use ctx.logger, which is silent in replay"

PLAIN_LOG = Ban("a plain logger", _LOG)

_CLOCK_NAMES = frozenset({
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
    "process_time_ns", "thread_time", "thread_time_ns", "clock_gettime", "clock_gettime_ns",
})  # fmt: skip
_OS_PURE = frozenset({"fspath", "strerror", "device_encoding", "get_terminal_size"})
_OS_MODULE = os.stat.__module__  # "posix" or "nt"
_OS_THREADS = frozenset({"fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "popen"})

# Pieces of C that belong to one of ours: asked by module, then by name.
_MODULES: dict[str, Ban] = {
    "_socket": Ban("a socket", _WORLD),
    "_thread": Ban("a thread", _THREAD),
    "_ssl": Ban("a socket (TLS)", _WORLD),
    "_sqlite3": Ban("a database file (sqlite3)", _WORLD),
    "_posixsubprocess": Ban("a process", _THREAD),
    "_winapi": Ban("a process", _THREAD),
}


def of_builtin(function: Any) -> Ban | None:
    """The ban on a C function or C method about to be called; None if it may.

    A method's owner is judged by its type alone: `isinstance` might run the code of a stranger's object.
    """
    owner: Any = getattr(function, "__self__", None)
    name: str = getattr(function, "__name__", "")
    kind = type(owner)
    if kind is ModuleType:
        return _of_module(owner.__name__, name)
    if owner is _GLOBAL_RANDOM or issubclass(kind, random.SystemRandom):
        return Ban(f"random.{name}", _CHANCE)
    if name in ("now", "utcnow", "today") and issubclass(kind, type) and issubclass(owner, date):
        return Ban(f"{owner.__name__}.{name}", _CLOCK)
    return Ban(f"socket.{name}", _WORLD) if issubclass(kind, _C_SOCKET) else None


def _of_module(module: str, name: str) -> Ban | None:
    if module == "time" and name in _CLOCK_NAMES:
        return Ban(f"time.{name}", _CLOCK)
    if module == _OS_MODULE:
        return _of_os(name)
    if module == "_thread" and not name.startswith("start_"):
        return None
    return _FUNCTIONS.get((module, name)) or _MODULES.get(module)


def _of_os(name: str) -> Ban | None:
    if name in ("urandom", "getrandom"):
        return Ban(f"os.{name}", _CHANCE)
    if name in _OS_THREADS:
        return Ban(f"os.{name}", _THREAD)
    if name in _OS_PURE or name.startswith(("_path_", "W")):  # W: WIFEXITED and its like
        return None
    return Ban(f"os.{name}", _WORLD)


def of_code(code: CodeType) -> Ban | None:
    """The ban on a Python function whose code is about to run."""
    return _CODES.get(code)


def is_seeded_draw(frame: FrameType) -> bool:
    """Whether a banned method of `random.Random` is called on a generator with a seed: that one repeats."""
    if frame.f_code not in _RANDOM_CODES:
        return False
    arguments = frame.f_locals
    owner = arguments.get("self")
    if owner is _GLOBAL_RANDOM or isinstance(owner, random.SystemRandom):
        return False
    seed = {"__init__": "x", "seed": "a"}.get(frame.f_code.co_name)
    return seed is None or arguments.get(seed) is not None


_FUNCTIONS = {
    ("time", "sleep"): Ban("time.sleep", _SLEEP),
    ("_io", "open"): Ban("open", _WORLD),
    ("_io", "open_code"): Ban("open", _WORLD),
    ("io", "open"): Ban("open", _WORLD),  # the module's name differs between versions
    ("io", "open_code"): Ban("open", _WORLD),
    ("builtins", "input"): Ban("input", _WORLD),
    ("builtins", "print"): Ban("print", _LOG),
}
_GLOBAL_RANDOM = random.seed.__self__  # type: ignore[attr-defined]
_C_SOCKET = socket.socket.__base__ or socket.socket


def _codes(owner: object, names: tuple[str, ...], what: str, fix: str) -> dict[CodeType, Ban]:
    found = {}
    for name in names:
        code = getattr(getattr(owner, name, None), "__code__", None)
        if isinstance(code, CodeType):
            found[code] = Ban(what.format(name), fix)
    return found


_RANDOM_CODES = frozenset(
    code
    for function in vars(random.Random).values()
    if isinstance(code := getattr(function, "__code__", None), CodeType)
)

_RANDOM_NAMES = {"__init__": "Random without a seed"}

_CODES: dict[CodeType, Ban] = {
    **{code: Ban(f"random.{_RANDOM_NAMES.get(code.co_name, code.co_name)}", _CHANCE) for code in _RANDOM_CODES},
    **_codes(secrets, ("token_bytes", "token_hex", "token_urlsafe", "randbelow"), "secrets.{}", _CHANCE),
    **_codes(random.SystemRandom, ("random", "getrandbits", "randbytes"), "random.SystemRandom.{}", _CHANCE),
    **_codes(uuid, ("uuid1", "uuid4", "uuid6", "uuid7", "getnode"), "uuid.{}", _UUID),
    **_codes(socket.socket, ("__init__",), "a socket", _WORLD),
    **_codes(threading.Thread, ("start",), "a thread", _THREAD),
    **_codes(logging.Logger, ("debug", "info", "warning", "error", "exception", "critical", "log"), *PLAIN_LOG),
}
