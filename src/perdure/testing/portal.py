"""The blocking client's way into a virtual loop: the caller's own thread runs it for as long as the call takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

from perdure.client.errors import EngineStopped
from perdure.client.portal import Portal, WrongThread
from perdure.core.errors import PerdureError
from perdure.testing.loop import OutOfTime, VirtualLoop

__all__ = ["VirtualPortal", "WaitsForever", "refuse_running_loop"]

P = ParamSpec("P")
T = TypeVar("T")

HORIZON_S: Final = 1e9  # about 31 years: nobody's test waits longer


class WaitsForever(PerdureError):
    """A call waits for something that will not come by itself. The text says what each instance is waiting for."""


class VirtualPortal(Portal):
    """After each call everything has happened that needs no time. `on_stuck` explains why a call cannot end."""

    def __init__(self, loop: VirtualLoop | None = None, on_stuck: Callable[[], str] = str) -> None:
        self._loop = loop  # None: not begun, or ended
        self._on_stuck = on_stuck

    def call(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = self.check()
        try:
            result = loop.drive(function(*args, **kwargs), horizon=loop.time() + HORIZON_S)
        except OutOfTime:
            raise WaitsForever(self._on_stuck()) from None
        loop.settle()
        return result

    async def relay(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        del function, args, kwargs
        raise WrongThread("the test kit has no asyncio client: call the verbs of the environment, without await")

    def close(self) -> None:
        self._loop = None

    def check(self) -> VirtualLoop:
        """The loop, if it can be run from here. Raises EngineStopped, WrongThread."""
        loop = self._loop
        if loop is None:
            raise EngineStopped("the test engine is not running: use it inside its `with` block")
        if loop.is_running():
            raise WrongThread(
                "the test engine is running the code that calls it (an activity or an orchestrator): return from it "
                "first, or raise the event from the test itself"
            )
        refuse_running_loop()
        return loop


def refuse_running_loop() -> None:
    """Raise WrongThread if the caller is inside an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise WrongThread(
        "testing.engine drives an event loop of its own and cannot be used inside a running one: make the test a "
        "plain `def`, or run its body by `await asyncio.to_thread(body)`"
    )
