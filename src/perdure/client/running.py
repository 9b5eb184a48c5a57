"""The engines running in this process: how a client without arguments finds its own.

Weak: a forgotten engine is not kept alive by being found here.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

from perdure.client.portal import Portal
from perdure.client.transport import Transport

__all__ = ["Engine", "engines", "register", "unregister"]


class Engine(Protocol):
    """What a client needs of an engine in its process."""

    @property
    def portal(self) -> Portal: ...

    @property
    def transport(self) -> Transport: ...


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_lock = threading.Lock()


def _forget() -> None:
    """In a forked child: its parent's engines run in the parent."""
    global _lock  # noqa: PLW0603 - the parent may hold it at the moment of the fork
    _lock = threading.Lock()
    _engines.clear()


os.register_at_fork(after_in_child=_forget)


def register(engine: Engine) -> None:
    """The engine is up: clients may find it. The engine must be hashable and take weak references."""
    with _lock:
        _engines.add(engine)


def unregister(engine: Engine) -> None:
    """The engine goes down. Harmless if it is not registered."""
    with _lock:
        _engines.discard(engine)


def engines() -> list[Engine]:
    """Those that are up."""
    with _lock:
        return list(_engines)
