"""The way into an event loop from outside it: from a thread without one, and from another loop.

A caller never waits inside the loop that it waits for: that would be for ever, so it is refused by name.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from perdure.client.errors import EngineStopped
from perdure.core.errors import PerdureError

__all__ = ["HerePortal", "LoopPortal", "Portal", "ThreadPortal", "WrongThread"]

SETTLE_SECONDS_MAX = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class WrongThread(PerdureError, RuntimeError):
    """A blocking call on the event loop that would have to answer it."""


class Portal(ABC):
    @abstractmethod
    def call(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the coroutine function in the loop and block until its result is here. Raises what it raises.

        The caller may be inside another running loop (which stands still meanwhile). Raises WrongThread in the
        portal's own loop, EngineStopped once that has ended.
        """

    @abstractmethod
    async def relay(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for callers in any loop, without blocking theirs. Cancelling the caller cancels the work."""

    @abstractmethod
    def close(self) -> None:
        """Let every caller that still waits go with EngineStopped. Twice is harmless."""


class LoopPortal(Portal):
    """Into a loop that somebody else runs. Whoever ends the loop calls `close` first, from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._process = os.getpid()
        self._closed = False
        self._waiting: set[concurrent.futures.Future[Any]] = set()
        self._lock = threading.Lock()

    def call(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._is_here():
            raise WrongThread(
                "a blocking client call on the engine's own event loop would wait for itself: await the async client "
                "there, or call from another thread"
            )
        future = self._submit(function, *args, **kwargs)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise self._stopped() from None
        except BaseException:
            future.cancel()  # a KeyboardInterrupt of the caller ends the work, too
            raise

    async def relay(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._is_here():
            return await function(*args, **kwargs)
        future = self._submit(function, *args, **kwargs)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if self._closed:
                raise self._stopped() from None
            raise

    def close(self) -> None:
        with self._lock:
            self._closed = True
            waiting = list(self._waiting)
        for future in waiting:
            future.cancel()

    def _submit(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        if os.getpid() != self._process:
            raise EngineStopped(
                f"the engine of this client runs in process {self._process}, from which this one was forked: start an "
                "engine here, or use a client over HTTP"
            )
        with self._lock:
            if self._closed or self._loop.is_closed():
                raise self._stopped()
            work = function(*args, **kwargs)
            try:
                future = asyncio.run_coroutine_threadsafe(work, self._loop)
            except RuntimeError:  # closed between the question and the call
                work.close()
                raise self._stopped() from None
            self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def _is_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _stopped(self) -> EngineStopped:
        return EngineStopped("the engine of this client was shut down")


class ThreadPortal(LoopPortal):
    """Into a loop of its own on a daemon thread: for a blocking client without an engine in this process.

    A forgotten one neither keeps the interpreter alive nor outlives its last reference.
    """

    def __init__(self) -> None:
        loop = asyncio.new_event_loop()
        super().__init__(loop)
        self._thread = threading.Thread(target=_run, args=(loop,), name="perdure-client", daemon=True)
        self._thread.start()
        self._stop = weakref.finalize(self, _stop, loop)

    def close(self) -> None:
        super().close()
        self._stop()
        if threading.current_thread() is not self._thread:
            self._thread.join()


class HerePortal(Portal):
    """No way at all: runs in the caller's own loop. For the async twin over HTTP."""

    def call(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        del function, args, kwargs
        raise WrongThread("this client belongs to an event loop: await its verbs")

    async def relay(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        return await function(*args, **kwargs)

    def close(self) -> None:
        """Nothing is held."""


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(_settle())
    finally:
        loop.close()


async def _settle() -> None:
    """One more look at every cancelled task, so that its `finally` runs. One that goes on all the same is left behind."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait({asyncio.gather(*others, return_exceptions=True)}, timeout=SETTLE_SECONDS_MAX)
