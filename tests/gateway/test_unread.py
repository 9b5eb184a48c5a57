"""Callers that do not read what they are answered."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol

from perdure.core.limits import GATEWAY_READ_BYTES_MIN
from perdure.gateway.protocol import GatewayProtocol
from tests.brokers.certificates import Authority
from tests.client.fake_transport import snapshot
from tests.gateway.conftest import DEADLINE_SECONDS, GET, LONG, RIGHT, SHORT, START

OPEN = b"GET /openapi.json HTTP/1.1\r\nhost: g\r\n\r\n"
LARGE = GET + RIGHT + b"\r\n"
MANY = 100


@pytest.fixture
def slow(transport):
    transport.known["i1"] = snapshot("i1", input=f'"{"x" * 1_000_000}"')  # far more than both sockets hold


@pytest.fixture(params=["plain", "tls"])
def wire(request, tmp_path):
    """Settings of a gateway, and what its callers trust."""
    if request.param == "plain":
        return {}, None
    authority = Authority(tmp_path)
    made = authority.issue("gateway")
    trusting = ssl.create_default_context(cafile=authority.file)
    return {"certificate_file": made.certificate, "key_file": made.key}, trusting


@pytest.fixture
def callers():
    """`call(server, sent, trusting)` reads the first bytes of its answer and gives its socket; all are closed at the end."""
    opened = []

    def call(server, sent, trusting=None):
        server._server.acceptor._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        caller = socket.socket()
        opened.append(caller)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        caller.settimeout(DEADLINE_SECONDS)
        caller.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        if trusting is not None:
            caller = trusting.wrap_socket(caller, server_hostname="127.0.0.1")
            opened.append(caller)
        caller.sendall(sent)
        assert caller.recv(1)
        return caller

    yield call
    for each in opened:
        each.close()


async def all_left(server):
    while server._server.server_state.connections:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("sent", [OPEN * MANY, LARGE * 3], ids=["stranger", "with-a-token"])
async def test_who_does_not_read_its_answers_is_cut_off(serving, callers, slow, wire, sent):
    settings, trusting = wire
    async with serving(body_seconds=SHORT, **settings) as server:
        await asyncio.to_thread(callers, server, sent, trusting)
        await all_left(server)


@pytest.mark.parametrize("sent", [OPEN, LARGE], ids=["stranger", "with-a-token"])
async def test_who_hangs_up_its_side_and_does_not_read_is_cut_off(serving, callers, slow, wire, sent):
    settings, trusting = wire
    async with serving(body_seconds=SHORT, **settings) as server:
        caller = await asyncio.to_thread(callers, server, sent, trusting)
        caller.shutdown(socket.SHUT_WR)
        await all_left(server)


@pytest.mark.parametrize("last", [b"no request\r\n\r\n", START + RIGHT + b"\r\n{"], ids=["400", "408"])
async def test_who_does_not_read_what_it_did_wrong_is_cut_off(serving, callers, slow, monkeypatch, last):
    monkeypatch.setattr(
        GatewayProtocol, "on_response_complete", H11Protocol.on_response_complete
    )  # the last one's alone
    async with serving(body_seconds=SHORT) as server:
        await asyncio.to_thread(callers, server, OPEN + last)
        await all_left(server)


async def test_who_reads_slowly_stays_and_who_stops_goes(serving, callers, slow):
    async with serving(body_seconds=LONG) as server:
        caller = await asyncio.to_thread(callers, server, LARGE)
        (protocol,) = server._server.server_state.connections
        for _ in range(3):
            before = protocol._unread()
            while before - protocol._unread() < GATEWAY_READ_BYTES_MIN:
                assert await asyncio.to_thread(caller.recv, 4_096)
            protocol._look_at_reading(before)
            assert not protocol.transport.is_closing()
        protocol._look_at_reading(protocol._unread())
        await all_left(server)


async def test_what_tls_has_forgotten_is_cut_off_too(serving, callers, held, tmp_path):
    """The peer's end closes it, and the answer that comes after that closes it once more."""
    authority = Authority(tmp_path)
    made = authority.issue("gateway")
    trusting = ssl.create_default_context(cafile=authority.file)
    poll = b"GET /v1/instances/i1/wait HTTP/1.1\r\nhost: g\r\nconnection: close\r\n" + RIGHT + b"\r\n"
    async with serving(body_seconds=LONG, certificate_file=made.certificate, key_file=made.key) as server:
        caller = await asyncio.to_thread(callers, server, OPEN + poll, trusting)
        await held.asked.acquire()
        (protocol,) = server._server.server_state.connections
        caller.setblocking(False)
        with contextlib.suppress(ssl.SSLError):  # it says its end, and does not wait for ours
            caller.unwrap()
        while not protocol._has_ended:
            await asyncio.sleep(0.001)
        held.release.set()
        while not protocol.cycle.response_complete:
            await asyncio.sleep(0.001)
        protocol._look_at_reading(0)
        await all_left(server)
