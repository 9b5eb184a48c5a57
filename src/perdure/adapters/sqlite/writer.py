"""The write thread: the one hand that writes, and the group commit.

It takes everything that is queued, writes it in one transaction (one fsync) and tells the event loop of all results
in one call: records to readers first, then every caller. While it waits for the disk the next transaction gathers.

The law: what a caller is told is what the file says. A transaction that fails fails whole, and its offsets go back.
After an I/O error at COMMIT the frames may still be in the write-ahead file, where a crash would revive them; only a
later commit overwrites them. So that is done at once, and while it cannot be done the outcome is called unknown and
nothing else is written.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from perdure.adapters.sqlite.connection import explain, is_corruption
from perdure.adapters.sqlite.transaction import Publication, Transaction
from perdure.ports.errors import CommitFailed, CommitUnknown, PortError

__all__ = ["Delivery", "Request", "WriteThread"]

log = structlog.get_logger(__name__)

RECORDS_PER_TRANSACTION_MAX = 5_000  # bounds how long one caller waits for the others' records


@dataclass(slots=True)
class Request:
    """`apply` checks, then adds to the transaction; it runs in the write thread and may raise a PortError."""

    apply: Callable[[Transaction], Any]
    future: asyncio.Future[Any]
    failure: type[PortError] = CommitFailed
    failed: Callable[[], None] | None = None  # called in the write thread before anything later is applied
    weight: int = 1
    number: int = 0
    needs_disk: bool = True  # False: what it did stands, also when the transaction it came with fails


class Failure(NamedTuple):
    """Why a transaction was not written. `unknown`: nobody can say that it was not. `settled`: writing may go on."""

    text: str
    unknown: bool = False
    settled: bool = True


@dataclass(slots=True)
class Delivery:
    """What became of a transaction's requests, in their order."""

    results: list[tuple[Request, Any, Exception | None]]
    published: dict[Any, Publication]


class WriteThread:
    """`opening` makes the connection in the thread; `begin` starts a transaction; `deliver` is called on the loop."""

    def __init__(
        self,
        path: Path,
        begin: Callable[[], Transaction],
        deliver: Callable[[Delivery], None],
        after_commit: Callable[[int], None] | None,
    ) -> None:
        self._path = path
        self._begin = begin
        self._deliver = deliver
        self._after_commit = after_commit
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Request] = deque()
        self._stopping: Callable[[sqlite3.Connection], None] | None = None
        self._changed = threading.Condition()
        self._connection: sqlite3.Connection
        self._commits = 0
        self._unsettled = False
        self._opened: asyncio.Future[Any] = self._loop.create_future()
        self._closed: asyncio.Future[Any] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="perdure-sqlite-writer", daemon=True)

    async def open(self, opening: Callable[[], tuple[sqlite3.Connection, Any]]) -> Any:
        """Start; returns what `opening` gave beside the connection. Raises what it raised."""
        self._opening = opening
        self._thread.start()
        try:
            return await self._opened
        except asyncio.CancelledError:
            self._stop(lambda _: None)
            raise

    def hand_over(self, requests: Sequence[Request]) -> None:
        with self._changed:
            self._queue.extend(requests)
            self._changed.notify()

    async def close(self, closing: Callable[[sqlite3.Connection], None]) -> None:
        """Write what is queued, let `closing` see the connection, and end the thread."""
        self._stop(closing)
        await asyncio.shield(self._closed)
        self._thread.join()

    def _stop(self, closing: Callable[[sqlite3.Connection], None]) -> None:
        with self._changed:
            self._stopping = closing
            self._changed.notify()

    def _run(self) -> None:
        try:
            self._connection, opened = self._opening()
        except BaseException as error:  # noqa: BLE001 - it is raised again where `open` is awaited
            self._tell(_resolve, self._opened, None, error)
            return
        self._tell(_resolve, self._opened, opened, None)
        while True:
            requests = self._next_requests()
            if not requests:
                break
            self._process(requests)
        self._finish()

    def _next_requests(self) -> list[Request]:
        """At least one, waiting for it; none once the thread is to stop."""
        with self._changed:
            while not self._queue and self._stopping is None:
                self._changed.wait()
            requests: list[Request] = []
            weight = 0
            while self._queue and (not requests or weight + self._queue[0].weight <= RECORDS_PER_TRANSACTION_MAX):
                requests.append(self._queue.popleft())
                weight += requests[-1].weight
            return requests

    def _process(self, requests: list[Request]) -> None:
        transaction = self._begin()
        results = [self._apply(request, transaction) for request in requests]
        try:
            failure = self._write(transaction)
        except Exception as error:  # noqa: BLE001 - a value that SQLite cannot hold must not end the thread
            transaction.undo()
            if len(requests) > 1:  # one of them is to blame: the others are not to suffer
                for request in requests:
                    self._process([request])
                return
            failure = Failure(f"{self._path}: {type(error).__name__}: {error}")
        if failure is not None:
            transaction.undo()
            results = [_failed(result, failure) for result in results]
        self._tell(self._deliver, Delivery(results, transaction.published))

    def _apply(self, request: Request, transaction: Transaction) -> tuple[Request, Any, Exception | None]:
        try:
            return request, request.apply(transaction), None
        except Exception as error:  # noqa: BLE001 - it is raised again where the request is awaited
            return request, None, error

    def _write(self, transaction: Transaction) -> Failure | None:
        if self._unsettled and not self._settle():
            return Failure(f"{self._path} cannot be written since an earlier I/O error", settled=False)
        if not transaction.durable:
            return None
        try:
            self._commit(transaction.write)
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if isinstance(error, sqlite3.OperationalError) or is_corruption(error):
                log.error("transaction failed", path=str(self._path), error=str(error))
            else:
                raise
            self._unsettled = code == sqlite3.SQLITE_IOERR
            settled = not self._unsettled or self._settle()
            return Failure(explain(error, self._path), unknown=not settled, settled=settled)
        self._commits += 1
        self._call_after_commit()
        return None

    def _call_after_commit(self) -> None:
        if self._after_commit is not None:
            try:
                self._after_commit(self._commits)
            except Exception:
                log.exception("after_commit failed", commit=self._commits)

    def _commit(self, write: Callable[[sqlite3.Connection], object]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            write(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _settle(self) -> bool:
        """Overwrite what a failed COMMIT may have left in the write-ahead file."""
        try:
            self._commit(lambda connection: connection.execute("REPLACE INTO meta VALUES ('settled', 'yes')"))
        except sqlite3.Error:
            return False
        self._unsettled = False
        return True

    def _finish(self) -> None:
        try:
            if self._stopping is not None:
                self._stopping(self._connection)
        except sqlite3.Error as error:
            # What was acknowledged is safe in the write-ahead file; the next opening goes on from there.
            log.warning("the database was not tidied up", path=str(self._path), error=str(error))
        finally:
            self._connection.close()
        self._tell(_resolve, self._closed, None, None)

    def _tell(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            log.debug("the event loop is gone", path=str(self._path))  # a forgotten close: nobody is waiting


def _failed(result: tuple[Request, Any, Exception | None], failure: Failure) -> tuple[Request, Any, Exception | None]:
    request, _, own = result
    if failure.settled and not request.needs_disk:
        return result
    if request.failed is not None:
        request.failed()
    kind = CommitUnknown if failure.unknown and request.failure is CommitFailed else request.failure
    return request, None, own or kind(failure.text)


def _resolve(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():  # whoever waited was cancelled
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
