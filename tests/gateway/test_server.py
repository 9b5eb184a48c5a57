import asyncio
import socket

import httpx
import pytest
from uvicorn.protocols.http import h11_impl

from perdure.core.limits import GATEWAY_HEADER_BYTES_MAX
from perdure.gateway.server import AddressInUse, GatewayServer
from perdure.gateway.settings import GatewaySettings


async def test_a_server_answers_from_its_start_until_its_stop(app):
    server = GatewayServer(app, GatewaySettings(port=0))
    await server.start()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        response = await http.get("/healthz")
        assert response.status_code == 200
        assert "server" not in response.headers
        await server.stop()
        await server.stop()
        with pytest.raises(httpx.TransportError):
            await http.get("/healthz")


async def test_a_taken_port_is_told_by_name(app):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUse, match=rf"cannot listen on 127\.0\.0\.1:{port}.*PERDURE_GATEWAY_PORT"):
            await GatewayServer(app, GatewaySettings(port=port)).start()


async def test_the_port_is_free_again_at_once(app):
    first = GatewayServer(app, GatewaySettings(port=0))
    await first.start()
    await first.stop()
    again = GatewayServer(app, GatewaySettings(port=int(first.url.rpartition(":")[2])))
    await again.start()
    await again.stop()


async def test_headers_without_end_are_refused(app):
    server = GatewayServer(app, GatewaySettings(port=0))
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n")
    for _ in range(2 * GATEWAY_HEADER_BYTES_MAX // 1_000):
        writer.write(b"x: " + b"x" * 1_000 + b"\r\n")
    assert (await reader.readline()).split()[1] == b"400"
    writer.close()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        assert (await http.get("/healthz", headers={"x": "x" * (GATEWAY_HEADER_BYTES_MAX - 2_000)})).status_code == 200
    await server.stop()


async def test_an_answers_body_does_not_wait_for_the_acknowledgement_of_its_head(app, monkeypatch):
    seen = []
    taken = h11_impl.H11Protocol.connection_made

    def made(self, transport):
        seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        taken(self, transport)

    monkeypatch.setattr(h11_impl.H11Protocol, "connection_made", made)
    server = GatewayServer(app, GatewaySettings(port=0))
    await server.start()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        assert (await http.get("/healthz")).status_code == 200
    await server.stop()
    assert seen == [1]
