"""Where plain activities run: on a few threads, or on the loop itself.

Law. A job handed to `submit` runs once and comes back on the loop through the `ended` callback, in batches; nothing
that a job raises reaches the pool (a job's `run` never raises). The way back costs one `call_soon_threadsafe` for all
jobs that ended before the loop got round to look: waking the loop is the dear part of a hop, not the hop.
Rejected: `run_in_executor`, which makes two futures and one wake-up for each job (three times the cost).

Threads are daemons: an activity that never returns must not keep the interpreter from exiting.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

__all__ = ["InlineSlots", "Job", "Slots", "ThreadSlots"]


class Job(Protocol):
    def run(self) -> None:
        """Do it and keep the outcome. Never raises."""


class Slots(ABC):
    """A bounded place for jobs. `count` is how many run at the same time."""

    count: int

    @abstractmethod
    def open(self, ended: Callable[[Sequence[Job]], None]) -> None:
        """Serve the running loop: `ended` is called on it."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Run it as soon as a slot is free, in order."""

    @abstractmethod
    def withdraw(self) -> list[Job]:
        """Take back what no slot has begun."""

    @abstractmethod
    def close(self) -> None:
        """End the idle slots; jobs that still run are left alone and no longer reported."""


class ThreadSlots(Slots):
    """Threads of its own, started as they are needed."""

    def __init__(self, count: int = 16) -> None:
        if count < 1:
            raise ValueError("an activity worker needs at least one thread")
        self.count = count
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._ended: deque[Job] = deque()
        self._told = False
        self._outstanding = 0
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._report: Callable[[Sequence[Job]], None] | None = None

    def open(self, ended: Callable[[Sequence[Job]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._report = ended

    def submit(self, job: Job) -> None:
        self._outstanding += 1
        if self._outstanding > len(self._threads) < self.count:
            name = f"perdure-activity-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)

    def withdraw(self) -> list[Job]:
        taken: list[Job] = []
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                self._outstanding -= len(taken)
                return taken
            if job is not None:
                taken.append(job)

    def close(self) -> None:
        self._report = None
        for _ in self._threads:
            self._jobs.put(None)
        self._threads = []

    def _serve(self) -> None:
        take, ended = self._jobs.get, self._ended.append
        while (job := take()) is not None:
            job.run()
            ended(job)
            del job  # an idle thread must not keep the last result alive
            if not self._told:
                self._told = True
                self._tell()

    def _tell(self) -> None:
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._collect)
        except RuntimeError:
            pass  # the loop has closed: nobody waits for this result any more

    def _collect(self) -> None:
        # The mark goes down before the first look: a job that ends after the last look finds it down and tells again.
        self._told = False
        batch: list[Job] = []
        while self._ended:
            batch.append(self._ended.popleft())
        self._outstanding -= len(batch)
        if batch and self._report is not None:
            self._report(batch)


class InlineSlots(Slots):
    """Jobs run on the loop, one a time: no threads, so that a simulation is deterministic."""

    count = 1

    def __init__(self) -> None:
        self._report: Callable[[Sequence[Job]], None] | None = None
        self._jobs: deque[Job] = deque()

    def open(self, ended: Callable[[Sequence[Job]], None]) -> None:
        self._report = ended

    def submit(self, job: Job) -> None:
        self._jobs.append(job)
        asyncio.get_running_loop().call_soon(self._run_next)

    def withdraw(self) -> list[Job]:
        taken = list(self._jobs)
        self._jobs.clear()
        return taken

    def close(self) -> None:
        self._report = None
        self._jobs.clear()

    def _run_next(self) -> None:
        if self._jobs:
            job = self._jobs.popleft()
            job.run()
            if self._report is not None:
                self._report([job])
