"""Statements out, answers in: the driver's callbacks become asyncio's futures.

The law: the reactor's thread only notes what came; the event loop is woken once for all that came meanwhile, since each
wake-up is a system call. A slot is held by a request in flight, not by whoever waits for it; and what is in flight is bounded
in bytes, too, so that large rows neither wait in the connection longer than a request may take nor fill the process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cassandra import ConsistencyLevel
from cassandra.cluster import NoHostAvailable
from cassandra.query import BatchStatement, BatchType

from perdure.adapters.cassandra.errors import unavailable

if TYPE_CHECKING:
    from perdure.adapters.cassandra.driver import Driver

__all__ = ["Answer", "Requests", "Row"]

BURST = 8
"""Requests begun without a look at the event loop's other work; each takes some 0.15 ms of it."""

REQUEST_STATEMENTS_MAX = 10
REQUEST_BYTES_MAX = 4_500
"""A request costs this process some 250 us and Cassandra more, a statement in one a seventh of that. Cassandra warns of
unlogged batches of more partitions or more bytes, so these are its own bounds (docs/adr/0014)."""

IN_FLIGHT_BYTES_MAX = 16 * 1024 * 1024
"""Of requests begun; a larger one goes alone. A few of the largest rows keep a node busy, more would only wait for it."""

Row = tuple[Any, ...]
Answer = tuple[list[Row], bytes | None]
"""Rows, and the state that continues them."""


class Requests:
    """Of one event loop. Every method raises StoreUnavailable."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._slots = asyncio.Semaphore(driver.settings.in_flight)
        self._bytes = 0
        self._freed = asyncio.Event()
        self._came: deque[tuple[asyncio.Future[Answer], int, Any, Any, BaseException | None]] = deque()
        self._woken = False

    def bound(self, query: str, *values: object) -> Any:
        return self._driver.statements[query].bind(values)

    def batch(self, statements: Sequence[Any]) -> Any:
        """Unlogged: as if each were sent alone, in one request."""
        batch = BatchStatement(
            BatchType.UNLOGGED, consistency_level=ConsistencyLevel.name_to_value[self._driver.settings.consistency]
        )
        batch.is_idempotent = True
        for statement in statements:
            batch.add(statement)
        return batch

    async def write(self, statements: Iterable[Any]) -> None:
        """All, many at once, in no order. When one fails the rest is not begun; what is in flight ends first."""
        await self._answers(self._gathered(statements))

    def _gathered(self, statements: Iterable[Any]) -> Iterator[Any]:
        """Small ones go ten to a request: each keeps its own partition and timestamp, and the batch promises nothing."""
        small: list[tuple[Any, int]] = []
        for statement in statements:
            if isinstance(statement, BatchStatement):
                yield statement
                continue
            small.append((statement, _bytes_of(statement)))
            if len(small) == REQUEST_STATEMENTS_MAX:
                yield from self.batches(small, REQUEST_STATEMENTS_MAX, REQUEST_BYTES_MAX)
                small = []
        yield from self.batches(small, REQUEST_STATEMENTS_MAX, REQUEST_BYTES_MAX)

    def batches(self, statements: Iterable[tuple[Any, int]], most: int, bytes_max: int) -> Iterator[Any]:
        """Statements with their sizes as few requests; one alone, or too large for company, goes as it is."""
        some: list[Any] = []
        size = 0
        for statement, statement_bytes in statements:
            if some and (size + statement_bytes > bytes_max or len(some) == most):
                yield self.batch(some) if len(some) > 1 else some[0]
                some, size = [], 0
            some.append(statement)
            size += statement_bytes
        if some:
            yield self.batch(some) if len(some) > 1 else some[0]

    async def read(self, query: str, *values: object) -> list[Row]:
        """All rows of one query."""
        return (await self.read_all([self.bound(query, *values)]))[0]

    async def read_all(self, statements: Iterable[Any]) -> list[list[Row]]:
        """All rows of each statement."""
        given = list(statements)
        answers = await self._answers(given)
        return [await self._continued(statement, answer) for statement, answer in zip(given, answers, strict=True)]

    async def pages(self, query: str, *values: object) -> AsyncIterator[list[Row]]:
        """The rows of one query as they come."""
        statement = self.bound(query, *values)
        rows, state = (await self._answers([statement]))[0]
        yield rows
        while state is not None:
            rows, state = (await self._answers([statement], state))[0]
            yield rows

    async def _continued(self, statement: Any, answer: Answer) -> list[Row]:
        rows, state = answer
        while state is not None:
            more, state = (await self._answers([statement], state))[0]
            rows = rows + more
        return rows

    async def _answers(self, statements: Iterable[Any], state: bytes | None = None) -> list[Answer]:
        futures: list[asyncio.Future[Answer]] = []
        failed = False

        def look(future: asyncio.Future[Answer]) -> None:
            nonlocal failed
            failed = (not future.cancelled() and future.exception() is not None) or failed

        for number, statement in enumerate(statements):
            if number % BURST == BURST - 1:
                await asyncio.sleep(0)
            size = _bytes_of(statement)
            await self._begin(size)
            if failed:
                self._end(size)
                break
            future = self._send(statement, size, state)
            future.add_done_callback(look)
            futures.append(future)
        if futures:
            await asyncio.wait(futures)
        for future in futures:
            error = future.exception()
            if error is not None:
                if isinstance(error, NoHostAvailable):
                    self._driver.found_nobody()
                raise unavailable(self._driver.settings, error) from error
        if futures:
            self._driver.answered()
        return [future.result() for future in futures]

    async def _begin(self, size: int) -> None:
        while self._bytes and self._bytes + size > IN_FLIGHT_BYTES_MAX:
            self._freed.clear()
            await self._freed.wait()
        self._bytes += size
        try:
            await self._slots.acquire()
        except BaseException:
            self._free(size)
            raise

    def _end(self, size: int) -> None:
        self._slots.release()
        self._free(size)

    def _free(self, size: int) -> None:
        self._bytes -= size
        self._freed.set()

    def _send(self, statement: Any, size: int, state: bytes | None) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        try:
            response = self._driver.session.execute_async(statement, paging_state=state)
        except Exception as error:  # noqa: BLE001 - a closed session, no host: told like an answer
            self._end(size)
            future.set_exception(error)
            return future

        def came(rows: Any) -> None:
            self._note(loop, (future, size, response, rows, None))

        def failed(error: BaseException) -> None:
            self._note(loop, (future, size, response, None, error))

        response.add_callbacks(came, failed)
        return future

    def _note(self, loop: asyncio.AbstractEventLoop, answer: Any) -> None:
        """In the reactor's thread. What is appended before the flag is read is seen by whoever lowers it."""
        self._came.append(answer)
        if not self._woken:
            self._woken = True
            try:
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody waits any more
                pass

    def _deliver(self) -> None:
        self._woken = False
        while self._came:
            future, size, response, rows, error = self._came.popleft()
            self._end(size)
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result((rows or [], response._paging_state))


def _bytes_of(statement: Any) -> int:
    """Of its blobs: the rest of a row is small. Batches are made of what is small together."""
    if isinstance(statement, BatchStatement):
        return REQUEST_BYTES_MAX
    return sum(len(value) for value in statement.values or () if isinstance(value, bytes))
