import socket

import httpx
import pytest

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
