"""Where user code of orchestrators runs: a thread of its own, with a deadline per resume.

**Law.** The I/O loop never waits for user code. A resume that takes longer than TURN_SECONDS_MAX gets an exception
raised into its thread; if that does not end it (it sits in C, or swallows everything), the thread is abandoned: it
sleeps for ever once user code lets go of it, so that nothing it still holds is ever touched again; the instance is
parked and the turns that are left go to a new thread.

How long a resume takes is counted in looks of the loop, not by the clock: while the whole process stands still (a machine that
is moved, SIGSTOP) the clock goes on and user code does not. Such a workflow would be parked for ever, and has done no harm.
Code in C that lets nobody else run keeps the loop from looking, too; it is told by the CPU that its thread has used.

The exception is aimed at user code only. It is raised under a lock while the thread says it is inside user code, and
whatever is still pending when user code is left is cleared.
"""

from __future__ import annotations

import asyncio
import ctypes
import queue
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import structlog

from perdure.core.execution import StallSignal
from perdure.core.limits import ABANDONED_THREADS_MAX, TURN_SECONDS_MAX
from perdure.core.turn import Live, Turn

__all__ = ["Decider", "InlineDecider", "ThreadDecider", "TurnDeadline", "Watch"]

log = structlog.get_logger("perdure.decider")

Watch = Callable[[], AbstractContextManager[Any]]
"""Wraps each resume: the dev-mode guard."""

LOOKS = 4
"""The watchdog's within the time of a resume. One look more has found the same resume: it has had its time."""

_cpu_clock_of = getattr(time, "pthread_getcpuclockid", None)  # macOS has none


class TurnDeadline(StallSignal):
    """Raised into user code that takes too long."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("turn deadline", detail or "one resume took too long")


class Decider(ABC):
    """Runs turns; user code happens nowhere else."""

    @abstractmethod
    async def run(self, turns: Sequence[Turn]) -> None:
        """Run them to the end, in order."""

    @abstractmethod
    async def let_go(self, lives: Sequence[Live]) -> None:
        """Close the user code of evicted instances."""

    @abstractmethod
    def runner(self, function: Callable[..., Any], argument: Any) -> Any:
        """What a turn calls user code through."""

    @abstractmethod
    def stop(self) -> None:
        """End the thread (a stuck one is left behind). Twice is harmless."""


class InlineDecider(Decider):
    """On the loop itself, without a deadline: for the test kit and the simulation."""

    def __init__(self, watch: Watch | None = None) -> None:
        self._watch = watch

    async def run(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            turn.run()

    async def let_go(self, lives: Sequence[Live]) -> None:
        for live in lives:
            live.close()

    def runner(self, function: Callable[..., Any], argument: Any) -> Any:
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(_NO_LOOP)  # type: ignore[arg-type]
        try:
            if self._watch is None:
                return function(argument)
            with self._watch():
                return function(argument)
        finally:
            asyncio._set_running_loop(loop)

    def stop(self) -> None:
        pass


class _Job:
    """Work for the thread: calls, one after the other. `at` is the one being made."""

    __slots__ = ("at", "calls", "future", "turns")

    def __init__(
        self, turns: Sequence[Turn], calls: Sequence[Callable[[], None]], future: asyncio.Future[None]
    ) -> None:
        self.turns = turns
        self.calls = calls
        self.future = future
        self.at = 0


class _Thread:
    """One decider thread and what the watchdog knows of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, watch: Watch | None) -> None:
        self.loop = loop
        self.watch = watch
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.job: _Job | None = None
        self.resumes = 0
        self.inside = 0  # the number of the resume; 0: not in user code
        self.looked_at = 0  # the resume that the watchdog has seen, and how often
        self.looks = 0
        self.told_at = 0  # the look at which the deadline was raised into it; 0: it was not
        self.cpu_s = 0.0  # that the thread had used when the resume began
        self.abandoned = False
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._work, name="perdure-decider", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        asyncio._set_running_loop(_NO_LOOP)  # type: ignore[arg-type]
        while (job := self.jobs.get()) is not None:
            self.job = job
            error: BaseException | None = None
            try:
                while job.at < len(job.calls):
                    job.calls[job.at]()
                    job.at += 1
            except BaseException as caught:  # noqa: BLE001 - reported to whoever waits for the job
                error = caught
            self.job = None
            self._finish(job, error)

    def _finish(self, job: _Job, error: BaseException | None) -> None:
        try:
            self.loop.call_soon_threadsafe(_settle, job.future, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def run_user_code(self, function: Callable[..., Any], argument: Any) -> Any:
        try:
            try:
                self.cpu_s = time.thread_time()
                self.resumes += 1
                self.inside = self.resumes
                if self.watch is None:
                    return function(argument)
                with self.watch():
                    return function(argument)
            finally:
                self._leave()
        except TurnDeadline:
            self._leave()  # it may have struck inside the first one
            raise

    def _leave(self) -> None:
        with self.lock:
            self.inside = 0
            if self.told_at:
                self.told_at = 0
                _absorb(self.thread)  # whatever is pending was not meant for the engine
            abandoned = self.abandoned
        if abandoned:
            threading.Event().wait()  # for ever; the thread is a daemon

    def look(self, limit_s: float) -> bool:
        """Watchdog, on the loop, LOOKS times in the time of a resume: raise the deadline; True if the thread must be abandoned."""
        with self.lock:
            if self.inside != self.looked_at:
                self.looked_at, self.looks = self.inside, 0
            if not self.inside:
                return False
            self.looks += 1
            if self.told_at:
                self.abandoned = self.looks - self.told_at >= LOOKS // 2
            elif self.looks > LOOKS or self._has_used(limit_s):
                self.told_at = self.looks
                _raise_in(self.thread, TurnDeadline)
            return self.abandoned

    def _has_used(self, cpu_s: float) -> bool:
        if _cpu_clock_of is None or self.thread.ident is None:
            return False
        return time.clock_gettime(_cpu_clock_of(self.thread.ident)) - self.cpu_s >= cpu_s

    def location(self) -> str:
        """Where the thread is: its innermost frame outside the engine, else its innermost."""
        frame = sys._current_frames().get(self.thread.ident or 0)
        fallback = ""
        outermost = ""
        while frame is not None:
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            fallback = fallback or place
            if "/perdure/" not in frame.f_code.co_filename.replace("\\", "/"):
                outermost = place
            frame = frame.f_back
            if frame is not None and outermost and "/perdure/" in frame.f_code.co_filename.replace("\\", "/"):
                break
        return f"(at {outermost or fallback})"


class ThreadDecider(Decider):
    """A decider thread, replaced when user code does not give it back.

    `on_exhausted` is called once more than ABANDONED_THREADS_MAX threads are lost: the process should drain and exit.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        watch: Watch | None = None,
        turn_seconds_max: float = TURN_SECONDS_MAX,
        on_exhausted: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop
        self._watch = watch
        self._limit_s = turn_seconds_max
        self._on_exhausted = on_exhausted
        self._thread = _Thread(loop, watch)
        self.abandoned = 0
        self._busy = 0
        self._watchdog: asyncio.TimerHandle | None = None

    async def run(self, turns: Sequence[Turn]) -> None:
        await self._submit(_Job(turns, [turn.run for turn in turns], self._loop.create_future()))

    async def let_go(self, lives: Sequence[Live]) -> None:
        await self._submit(_Job((), [live.close for live in lives], self._loop.create_future()))

    def runner(self, function: Callable[..., Any], argument: Any) -> Any:
        return self._thread.run_user_code(function, argument)

    def stop(self) -> None:
        self._thread.jobs.put(None)
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    async def _submit(self, job: _Job) -> None:
        self._busy += 1
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(self._limit_s / LOOKS, self._look)
        self._thread.jobs.put(job)
        try:
            await job.future
        finally:
            self._busy -= 1

    def _look(self) -> None:
        self._watchdog = None
        if self._thread.look(self._limit_s):
            self._abandon()
        if self._busy:
            self._watchdog = self._loop.call_later(self._limit_s / LOOKS, self._look)

    def _abandon(self) -> None:
        """Replace the thread; park the instance it is stuck in and go on with what it left."""
        stuck, job = self._thread, self._thread.job
        detail = f"no return within {self._limit_s:g} s {stuck.location()}"
        log.error("orchestrator code did not return; its thread is abandoned", where=detail)
        self.abandoned += 1
        self._thread = _Thread(self._loop, self._watch)
        if job is not None:
            self._thread.jobs.put(self._rest(job, detail))
        while not stuck.jobs.empty():
            self._thread.jobs.put(stuck.jobs.get_nowait())
        if self.abandoned > ABANDONED_THREADS_MAX and self._on_exhausted is not None:
            self._on_exhausted()

    def _rest(self, job: _Job, detail: str) -> _Job:
        rest = _Job(job.turns[job.at :], list(job.calls[job.at :]), job.future)
        if job.turns:
            turn = job.turns[job.at]

            def park_and_go_on() -> None:
                turn.park("turn deadline", detail)
                turn.run()

            rest.calls = [park_and_go_on, *rest.calls[1:]]
        else:
            rest.calls = list(rest.calls[1:])  # a close that hangs: its instance is gone anyway
        return rest


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _raise_in(thread: threading.Thread, error: type[BaseException]) -> None:
    """Raise in a thread, soon: at its next call or jump backwards. Takes the place of one that is still pending."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(error))


class _Absorbed(BaseException):
    """Takes the place of a deadline that came too late."""


def _absorb(thread: threading.Thread) -> None:
    """On that very thread: whatever was raised into it and is still pending strikes here, harmlessly.

    It is not taken back (by raising NULL): CPython 3.11 then forgets to lower its flag, and with a profile or trace hook
    installed the thread never gets past the next call.
    """
    try:
        _raise_in(thread, _Absorbed)
        for _ in range(1_000):
            pass
    except _Absorbed:
        return


class _NoLoop:
    """Stands where asyncio looks for the running loop, so that asyncio.sleep and the like fail at once, with advice."""

    def __getattr__(self, name: str) -> Any:
        raise TypeError(
            "asyncio has no place in an orchestrator: instead of asyncio.sleep use ctx.create_timer, instead of "
            "asyncio.gather use wf.when_all, for everything else an activity"
        )


_NO_LOOP = _NoLoop()
