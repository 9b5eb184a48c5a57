"""An event loop whose time is a number: when nothing is ready, it becomes the next timer's, and nobody sleeps.

**Law.** With nothing from outside (no sockets, no threads) a run depends on its code alone: timers run in the order of
their times, those of one time in the order in which the heap has them, and no real clock is looked at. Time never runs
backwards and never past `horizon`.

What is outside cannot be skipped. While a thread of an executor is at work, or somebody has said so by `outside` and
waits for a socket, the loop waits really, and its time passes as real time does (never past the next timer).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

__all__ = ["JUMPS_MAX", "OutOfTime", "VirtualLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Ready = list[tuple[selectors.SelectorKey, int]]

JUMPS_MAX: Final = 100_000
"""Jumps in one `drive`: who waits for something that never comes, beside a timer that goes on, is told."""

OUTSIDE_LOOK_S: Final = 3_600.0


class OutOfTime(Exception):
    """What was driven has not ended, and nothing is due up to the horizon."""


class _Selector(selectors.DefaultSelector):
    """The loop asks it what is ready, and for how long to sleep: here time passes instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Ready:
        loop = self.loop
        if timeout is not None and timeout <= 0:  # callbacks are ready: they go first
            return super().select(0) if loop.is_outside() else []
        if loop.is_outside():
            return loop.wait_outside(super().select)
        loop.jump()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` counts seconds from 0. `drive` runs it; `run_until_complete` works, too."""

    def __init__(self) -> None:
        self.horizon = math.inf
        self.jumps_left = JUMPS_MAX
        self._now = 0.0
        self._own_sockets = 0
        self._outside = 0
        self._threads = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        # Two times this close are one: far from 0 a float cannot tell them apart, and a timer would never be due.
        self._clock_resolution = 1e-6
        self._watched = selector.get_map()
        self._own_sockets = len(self._watched)  # the loop's own way to be woken from another thread

    def time(self) -> float:
        return self._now

    # -- driving ----------------------------------------------------------------------------------------------

    def drive(self, work: Coroutine[Any, Any, T], *, horizon: float = math.inf) -> T:
        """Run until `work` ends, and return what it does. Raises OutOfTime, having cancelled it, if it cannot end."""
        task = self.create_task(work)
        task.add_done_callback(lambda _: self.stop())
        self._run(horizon)
        if not task.done():
            task.cancel()
            task.add_done_callback(_retrieve)
            self._run(self._now)
            raise OutOfTime
        return task.result()

    def settle(self) -> None:
        """Run everything that needs no time."""
        self._run(self._now)

    def skip_to(self, when: float) -> None:
        """Let time pass until `when`; everything due by then has happened."""
        self._run(when)
        self._now = max(self._now, when)

    def kill(self) -> None:
        """As if the process had died: every task is cancelled, every timer forgotten."""
        for _ in range(10):  # a task may resist its cancellation, for a while
            tasks = asyncio.all_tasks(self)
            for handle in self._timers():
                handle.cancel()
            if not tasks:
                return
            for task in tasks:
                task.cancel()
                task.add_done_callback(_retrieve)
            self._run(self._now)

    def _run(self, horizon: float) -> None:
        self.horizon = max(horizon, self._now)
        self.jumps_left = JUMPS_MAX
        try:
            self.run_forever()
        finally:
            self.horizon = math.inf

    # -- time -------------------------------------------------------------------------------------------------

    def jump(self) -> None:
        """Nothing is ready: go to the next timer, or stop where none is due up to the horizon."""
        next_at = self._next_timer_at()
        if next_at == math.inf or next_at > self.horizon or not self.jumps_left:
            self.stop()
            return
        if next_at > self._now:
            self.jumps_left -= 1
            self._now = next_at

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """The caller may wait for the world: while a socket is watched, time is real."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    def is_outside(self) -> bool:
        return self._threads > 0 or (self._outside > 0 and len(self._watched) > self._own_sockets)

    def wait_outside(self, select: Callable[[float], Ready]) -> Ready:
        """Wait really, at most until the next timer; loop time passes as real time does."""
        if self._now >= self.horizon:
            self.stop()
            return select(0)
        end = min(self._next_timer_at(), self.horizon, self._now + OUTSIDE_LOOK_S)
        begun = time.monotonic()
        found = select(end - self._now)
        passed = time.monotonic() - begun
        self._now = min(self._now + passed, end) if found else end
        return found

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, _: object) -> None:
        self._threads -= 1

    def _timers(self) -> list[asyncio.TimerHandle]:
        # asyncio's own heap: call_at is its only door, and it has no public view of what waits behind it.
        return list(self._scheduled)  # type: ignore[attr-defined]

    def _next_timer_at(self) -> float:
        waiting = self._scheduled  # type: ignore[attr-defined]
        return waiting[0].when() if waiting else math.inf


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at the outcome, so that asyncio does not report it as lost."""
    if not task.cancelled():
        task.exception()
