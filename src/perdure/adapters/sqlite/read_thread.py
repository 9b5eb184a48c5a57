"""The read thread: SELECTs off the event loop, on a connection of their own.

What is queued is read in one snapshot and answered in one call. A snapshot begun after a write was acknowledged
sees that write.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from perdure.adapters.sqlite.connection import refusal

__all__ = ["ReadThread"]

T = TypeVar("T")
_Query = Callable[[sqlite3.Connection], Any]
_Job = tuple[_Query, "asyncio.Future[Any]"]
_Answer = tuple["asyncio.Future[Any]", Any, BaseException | None]


class ReadThread:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA query_only = ON")
        self._thread = Thread(target=self._run, name="perdure-sqlite-reader", daemon=True)
        self._thread.start()

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query in the thread. Raises StoreUnavailable, or DatabaseDamaged."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((query, future))
        return await future

    async def close(self) -> None:
        """Answer what is queued and close the connection."""
        done = self._loop.create_future()
        self._jobs.put((lambda _: None, done))
        self._jobs.put(None)
        await done
        self._thread.join()

    def _run(self) -> None:
        try:
            while jobs := self._next_jobs():
                answers = self._answer(self._connection, jobs)
                with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits for these
                    self._loop.call_soon_threadsafe(_deliver, answers)
        finally:
            self._connection.close()

    def _next_jobs(self) -> list[_Job]:
        """At least one, waiting for it; none once the thread is to stop."""
        jobs = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if self._jobs.empty():
                return jobs
            job = self._jobs.get()
        if jobs:
            self._jobs.put(None)
        return jobs

    def _answer(self, connection: sqlite3.Connection, jobs: list[_Job]) -> list[_Answer]:
        answers: list[_Answer] = []
        connection.execute("BEGIN")
        for query, future in jobs:
            try:
                answers.append((future, query(connection), None))
            except sqlite3.Error as error:
                answers.append((future, None, refusal(error, self._path)))
            except Exception as error:  # noqa: BLE001 - it is raised again where the query is awaited
                answers.append((future, None, error))
        with contextlib.suppress(sqlite3.Error):
            connection.execute("COMMIT")
        return answers


def _deliver(answers: list[_Answer]) -> None:
    for future, value, error in answers:
        if future.done():  # whoever waited was cancelled
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
