"""How much may be on its way to Cassandra; no broker is needed."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra.connection import ConnectionBusy, DefaultEndPoint
from cassandra.protocol import QueryMessage

from perdure.adapters.cassandra.connection import QUEUED_BYTES_MAX, QueueingConnection
from perdure.adapters.cassandra.requests import IN_FLIGHT_BYTES_MAX, Requests
from perdure.ports.errors import StoreUnavailable
from tests.conformance.facts import settle, until, within

MIB = 1024 * 1024
SLOTS = 8


class Response:
    """One that is answered when the test says so."""

    _paging_state = None

    def add_callbacks(self, came: Callable[[Any], None], failed: Callable[[BaseException], None]) -> None:
        self.came, self.failed = came, failed


class Session:
    def __init__(self) -> None:
        self.under_way: list[tuple[int, Response]] = []
        self.closed = False

    def execute_async(self, statement: Any, paging_state: bytes | None = None) -> Response:
        if self.closed:
            raise RuntimeError("closed")
        self.under_way.append((sum(map(len, statement.values)), Response()))
        return self.under_way[-1][1]

    def answer(self) -> None:
        self.under_way.pop(0)[1].came([])


def requests_of(session: Session) -> Requests:
    settings = SimpleNamespace(in_flight=SLOTS, consistency="LOCAL_ONE", shown_hosts="x", request_timeout_s=5)
    driver = SimpleNamespace(session=session, settings=settings, answered=lambda: None)
    return Requests(driver)  # type: ignore[arg-type]


def rows(*sizes: int) -> list[Any]:
    return [SimpleNamespace(values=(bytes(size),)) for size in sizes]


async def answered(session: Session, work: asyncio.Future[Any]) -> list[list[int]]:
    """Answers one after the other until the work is done; sizes of what was under way each time."""
    seen = []
    async with asyncio.timeout(10):
        while not work.done():
            await settle()
            if session.under_way:
                seen.append([size for size, _ in session.under_way])
                session.answer()
    await work
    return seen


async def test_large_rows_are_in_flight_up_to_a_sum_and_go_on_as_others_are_answered() -> None:
    session = Session()
    writing = asyncio.ensure_future(requests_of(session).write(rows(*[4 * MIB] * 10)))
    assert max(map(sum, await answered(session, writing))) == IN_FLIGHT_BYTES_MAX


async def test_a_row_larger_than_the_sum_goes_alone() -> None:
    session = Session()
    writing = asyncio.ensure_future(requests_of(session).write(rows(MIB, IN_FLIGHT_BYTES_MAX + 1, MIB)))
    assert await answered(session, writing) == [[MIB], [IN_FLIGHT_BYTES_MAX + 1], [MIB]]


async def test_small_requests_are_bounded_by_their_number() -> None:
    session = Session()
    reading = asyncio.ensure_future(requests_of(session).read_all(rows(*[5_000] * 20)))
    await until(lambda: len(session.under_way) == SLOTS)
    await settle()
    assert len(session.under_way) == SLOTS
    await answered(session, reading)
    assert len(await reading) == 20


async def test_what_fails_or_is_given_up_gives_its_room_back() -> None:
    session = Session()
    requests = requests_of(session)
    session.closed = True
    with pytest.raises(StoreUnavailable):
        await requests.write(rows(IN_FLIGHT_BYTES_MAX))
    session.closed = False
    first = asyncio.ensure_future(requests.write(rows(IN_FLIGHT_BYTES_MAX)))
    await until(lambda: len(session.under_way) == 1)
    given_up = asyncio.ensure_future(requests.write(rows(MIB)))
    await settle()
    given_up.cancel()
    session.under_way.pop(0)[1].failed(RuntimeError("away"))
    with pytest.raises(StoreUnavailable):
        await first
    last = asyncio.ensure_future(requests.write(rows(IN_FLIGHT_BYTES_MAX)))
    await until(lambda: len(session.under_way) == 1)
    session.answer()
    await within(last)


@contextmanager
def who_reads_nothing() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []
        threading.Thread(target=lambda: held.append(listener.accept()[0]), daemon=True).start()
        yield listener.getsockname()[1]
        for each in held:
            each.close()


def test_what_waits_for_a_node_that_takes_nothing_is_bounded_and_a_refusal_costs_no_stream() -> None:
    QueueingConnection.initialize_reactor()
    with who_reads_nothing() as port:
        connection = QueueingConnection(DefaultEndPoint("127.0.0.1", port), connect_timeout=5)
        connection.protocol_version = 4
        refused, at_once = [], 2 * QUEUED_BYTES_MAX // MIB
        for _ in range(at_once):
            with connection.lock:
                connection.in_flight += 1
                request_id = connection.get_request_id()
            try:
                connection.send_msg(QueryMessage("x" * MIB, 1), request_id, lambda *_: None)
            except ConnectionBusy:
                refused.append(request_id)
        waiting = sum(map(len, connection.deque))
        assert QUEUED_BYTES_MAX - 4 * MIB <= waiting <= QUEUED_BYTES_MAX + 2 * MIB
        assert connection.in_flight == at_once - len(refused)
        assert set(refused) <= set(connection.request_ids)
        connection.close()
