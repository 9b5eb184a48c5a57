"""Connections of those who have no token: they shut out nobody, and none stays for ever."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import ssl

import pytest

from perdure.core.limits import GATEWAY_CONNECTIONS_MAX, GATEWAY_STRANGERS_MAX
from perdure.gateway import acceptor, connections
from perdure.gateway.connections import Connection, Connections
from perdure.gateway.protocol import GatewayProtocol
from tests.brokers.certificates import Authority
from tests.gateway.conftest import DEADLINE_SECONDS, GET, RIGHT, SHORT, START, ended, first_line, status_of


@pytest.fixture
def places(monkeypatch):
    monkeypatch.setattr(connections, "GATEWAY_STRANGERS_MAX", 5)


def silent_after_handshake(server, trusting):
    """A peer that answers nothing until the connection is gone: what comes is read below its TLS."""
    with (
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), DEADLINE_SECONDS) as raw,
        trusting.wrap_socket(raw, server_hostname="127.0.0.1") as peer,
        socket.socket(fileno=os.dup(peer.fileno())) as below,
        contextlib.suppress(ConnectionError),
    ):
        below.settimeout(DEADLINE_SECONDS)
        while below.recv(65_536):
            pass


@pytest.mark.parametrize(
    "sent",
    [b"", GET, START + b"dapr-api-token: no\r\n\r\n{", b"GET /healthz HTTP/1.1\r\nhost: g\r\n\r\n"],
    ids=["silent", "half-a-head", "half-a-body", "probes"],
)
async def test_however_many_strangers_hold_connections_the_token_is_answered(serving, peers, places, sent):
    async with serving() as server:
        readers = [(await peers(server, sent))[0] for _ in range(20)]
        for _ in range(3):
            assert await status_of(server) == 200
        await ended(readers[0])  # nobody waited for a time-out: those there longest had to go


async def test_who_asked_with_its_token_keeps_its_connection_whoever_comes(serving, peers, places, held):
    async with serving() as server:
        reader, _ = await peers(server, b"GET /v1/instances/i1/wait HTTP/1.1\r\nhost: g\r\n" + RIGHT + b"\r\n")
        await held.asked.acquire()
        strangers = [(await peers(server))[0] for _ in range(20)]
        await ended(strangers[0])
        held.release.set()
        assert await first_line(reader) == b"200"


async def test_strangers_of_one_address_take_the_places_of_each_other(serving, peers, places):
    async with serving() as server:
        reader, writer = await peers(server, GET, local_addr=("127.0.0.2", 0))
        strangers = [(await peers(server))[0] for _ in range(20)]
        await ended(strangers[0])
        writer.write(RIGHT + b"\r\n")  # slow, the longest there, and with a token
        assert await first_line(reader) == b"200"


async def test_handshakes_that_do_not_end_shut_nobody_out(serving, peers, places, tmp_path):
    authority = Authority(tmp_path)
    made = authority.issue("gateway")
    trusting = ssl.create_default_context(cafile=authority.file)
    async with serving(certificate_file=made.certificate, key_file=made.key) as server:
        readers = [(await peers(server))[0] for _ in range(20)]
        assert await status_of(server, verify=trusting) == 200
        await ended(readers[0])


async def test_who_is_let_go_in_the_turn_its_handshake_ends_leaves_nothing_behind(
    serving, peers, tmp_path, monkeypatch
):
    authority = Authority(tmp_path)
    made = authority.issue("gateway")
    trusting = ssl.create_default_context(cafile=authority.file)
    let_go, connection_made = [], GatewayProtocol.connection_made

    def let_go_before(protocol, transport):
        if not let_go:
            let_go.append(protocol._connection)
            protocol._connection.leave()
            protocol._connection.let_go()
        connection_made(protocol, transport)

    monkeypatch.setattr(GatewayProtocol, "connection_made", let_go_before)
    async with serving(certificate_file=made.certificate, key_file=made.key) as server:
        await asyncio.to_thread(silent_after_handshake, server, trusting)
        for _ in range(3):
            assert await status_of(server, verify=trusting) == 200
        assert let_go
        assert server._server.acceptor.connections.strangers == 0


async def test_a_handshake_that_does_not_end_is_given_up(serving, peers, tmp_path):
    made = Authority(tmp_path).issue("gateway")
    async with serving(certificate_file=made.certificate, key_file=made.key, head_seconds=SHORT) as server:
        for sent in (b"", b"\x16\x03\x01"):
            reader, _ = await peers(server, sent)
            assert await ended(reader) == b""


@pytest.mark.parametrize("sent", [b"", b"G", GET + RIGHT, b"\r\n"], ids=["silent", "a-byte", "half-a-head", "nothing"])
async def test_a_head_that_does_not_come_ends_the_connection(serving, peers, sent):
    async with serving(head_seconds=SHORT) as server:
        reader, _ = await peers(server, sent)
        assert b"200" not in await ended(reader)


async def test_bytes_one_by_one_are_no_whole_head(serving, peers):
    async with serving(head_seconds=SHORT) as server:
        reader, writer = await peers(server, GET + b"x: ")
        gone = asyncio.create_task(ended(reader))
        while not gone.done():  # it would go on for as long as the deadline lets it
            writer.write(b"x")
            await asyncio.wait([gone], timeout=SHORT / 10)


async def test_after_an_answer_the_next_head_has_its_time(serving, peers):
    async with serving(head_seconds=SHORT) as server:
        reader, writer = await peers(server, GET + RIGHT + b"\r\n")
        assert await first_line(reader) == b"200"
        writer.write(GET)
        await ended(reader)


async def test_a_body_that_does_not_come_is_told_so_and_its_connection_ends(serving, peers, transport):
    async with serving(body_seconds=SHORT) as server:
        reader, _ = await peers(server, START + RIGHT + b"\r\n{")
        head, _, body = (await ended(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body)["errorCode"] == "ERR_REQUEST_TOO_SLOW"
        assert not transport.sent


async def test_a_body_that_nobody_reads_ends_the_connection_too(serving, peers):
    async with serving(body_seconds=SHORT) as server:
        reader, writer = await peers(server, START + b"\r\n{")
        assert await first_line(reader) == b"401"
        gone = asyncio.create_task(ended(reader))
        while not gone.done():
            writer.write(b"x")
            await asyncio.wait([gone], timeout=SHORT / 10)


async def test_who_waits_for_us_is_not_slow(serving, peers, held):
    async with serving(head_seconds=SHORT, body_seconds=SHORT) as server:
        reader, _ = await peers(server, b"GET /v1/instances/i1/wait HTTP/1.1\r\nhost: g\r\n" + RIGHT + b"\r\n")
        await held.asked.acquire()
        await ended((await peers(server))[0])  # a silent one that came later is past its time
        await ended((await peers(server, START + b"dapr-api-token: no\r\n\r\n"))[0])
        held.release.set()
        assert await first_line(reader) == b"200"


@pytest.mark.parametrize("right", [RIGHT, b""], ids=["with-a-token", "without"])
async def test_a_body_with_two_ends_is_read_by_neither(serving, peers, transport, right):
    async with serving() as server:
        head = (
            b"POST /v1/workflows/order/start HTTP/1.1\r\nhost: g\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n"
        )
        reader, _ = await peers(server, head + right + b"\r\n2\r\n{}\r\n0\r\n\r\n" + GET + RIGHT + b"\r\n")
        head, _, body = (await ended(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert json.loads(body)["errorCode"] == "ERR_MALFORMED_REQUEST"
        assert not transport.sent


async def test_a_known_connection_too_many_is_told_so(serving, peers, monkeypatch):
    monkeypatch.setattr(connections, "GATEWAY_CONNECTIONS_MAX", 3)
    async with serving() as server:
        for expected in (b"200", b"200", b"200", b"503"):
            reader, _ = await peers(server, GET + RIGHT + b"\r\n")
            assert await first_line(reader) == expected
        answer = (await reader.readuntil(b"}")).lower()
        assert b"\r\nretry-after: 1\r\n" in answer
        assert b"err_gateway_busy" in answer


async def test_known_connections_that_end_make_room(serving, peers, monkeypatch):
    monkeypatch.setattr(connections, "GATEWAY_CONNECTIONS_MAX", 1)
    async with serving() as server:
        for _ in range(3):
            reader, _ = await peers(server, GET + RIGHT + b"connection: close\r\n\r\n")
            assert await first_line(reader) == b"200"
            await ended(reader)


async def test_a_connection_is_known_for_one_request_at_a_time(serving, peers, places):
    async with serving() as server:
        reader, writer = await peers(server, GET + RIGHT + b"\r\n")
        assert await first_line(reader) == b"200"
        await reader.readuntil(b"}")
        writer.write(START + b"\r\n{")  # whoever sends this now has no token
        await reader.readuntil(b"ERR_UNAUTHORIZED")
        for _ in range(20):
            await peers(server)
        gone = asyncio.create_task(ended(reader))
        while not gone.done():  # no idle one, that would end in any case
            writer.write(b"x")
            await asyncio.wait([gone], timeout=SHORT / 10)


async def test_without_file_descriptors_strangers_go_and_who_waits_comes_in(serving, peers, monkeypatch):
    monkeypatch.setattr(acceptor, "PAUSE_SECONDS", 0.0)
    async with serving() as server:
        loop = asyncio.get_running_loop()
        accept, failures = loop.sock_accept, [OSError(errno.EMFILE, "many"), OSError(errno.ECONNABORTED, "gone")]
        silent, _ = await peers(server)

        async def failing(listener):
            accepted = await accept(listener)
            if failures:
                accepted[0].close()
                raise failures.pop(0)
            return accepted

        monkeypatch.setattr(loop, "sock_accept", failing)
        await peers(server)  # the accept that is under way is not ours yet
        for _ in range(2):
            await ended((await peers(server))[0])
        await ended(silent)
        assert await status_of(server) == 200


async def test_the_server_stops_though_strangers_are_silent(serving, peers, tmp_path):
    made = Authority(tmp_path).issue("gateway")
    for tls in ({}, {"certificate_file": made.certificate, "key_file": made.key}):
        async with serving(**tls) as server:
            readers = [(await peers(server))[0] for _ in range(3)]
        for reader in readers:
            await ended(reader)


def test_the_longest_there_of_the_address_with_most_has_to_go(monkeypatch):
    assert (GATEWAY_CONNECTIONS_MAX, GATEWAY_STRANGERS_MAX) == (2_000, 500)
    monkeypatch.setattr(connections, "GATEWAY_STRANGERS_MAX", 4)
    book, gone = Connections(), []

    def come(address, name):
        connection = Connection(book, address)
        connection.let_go = lambda: gone.append(name)
        book.enter(connection)
        return connection

    one = come("a", "a1")
    for number in range(2, 6):
        come("b", f"b{number}")
    assert gone == ["b2"]
    assert one.become_known()
    come("c", "c1")
    assert gone == ["b2"]
    one.become_stranger()
    one.become_stranger()
    assert gone == ["b2", "b3"]
    assert (book.strangers, book.known) == (4, 0)


def test_what_was_let_go_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(connections, "GATEWAY_STRANGERS_MAX", 1)
    book = Connections()
    first, second = Connection(book, "a"), Connection(book, "b")
    for each in (first, second):
        book.enter(each)
    assert first.become_known()
    assert (book.strangers, book.known) == (1, 0)
    for each in (first, second, second):
        each.leave()
    assert (book.strangers, book.known) == (0, 0)
    book.let_one_go()
