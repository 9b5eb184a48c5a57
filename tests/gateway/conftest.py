import asyncio
import contextlib

import httpx
import pytest

from perdure.client.client import AsyncWorkflowClient
from perdure.gateway import readiness
from perdure.gateway.http import create_app
from perdure.gateway.server import GatewayServer
from perdure.gateway.settings import GatewaySettings
from tests.client.fake_transport import FakeTransport, snapshot

URL = "http://127.0.0.1:3500"
TOKEN = "t" * 32
GET = b"GET /v1/instances/i1 HTTP/1.1\r\nhost: g\r\n"
START = b"POST /v1/workflows/order/start HTTP/1.1\r\nhost: g\r\ncontent-length: 1000\r\n"
RIGHT = b"dapr-api-token: " + TOKEN.encode() + b"\r\n"
DEADLINE_SECONDS = 20
LONG, SHORT = 3_600, 0.3


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in ("PERDURE_GATEWAY_API_TOKEN", "PERDURE_API_TOKEN", "PERDURE_GATEWAY_HOST", "PERDURE_GATEWAY_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def transport():
    return FakeTransport(
        snapshot("i1"),
        snapshot("done", status="COMPLETED", output='{"ok":true}', custom_status='"halfway"'),
        snapshot(
            "bad",
            status="FAILED",
            input="",
            error_type="ValueError",
            error_message="no",
            stack_trace="at",
            partition=-1,
        ),
        snapshot("parent:0001:a/b%ä", status="COMPLETED", parent_id="parent"),
    )


@pytest.fixture(scope="session")
def client():
    return AsyncWorkflowClient(FakeTransport())


@pytest.fixture(scope="session")
def shared_app(client):
    return create_app(client, settings=GatewaySettings(api_token=None))


@pytest.fixture
def app(shared_app, client, transport, monkeypatch):
    monkeypatch.setattr(readiness, "SHARED_SECONDS", 0.0)  # what one test's engine said holds for no other's
    client.transport = transport  # building an application takes longer than the test
    return shared_app


@pytest.fixture
async def http(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
        yield client


@pytest.fixture(scope="session")
def guarded_app(client):
    return create_app(client, settings=GatewaySettings(api_token=TOKEN))  # building one takes longer than a test


@pytest.fixture
def serving(guarded_app, client, transport):
    client.transport = transport

    @contextlib.asynccontextmanager
    async def serving(**settings):
        patient = {"port": 0, "api_token": TOKEN, "head_seconds": LONG, "body_seconds": LONG}
        server = GatewayServer(guarded_app, GatewaySettings(**patient | settings))
        async with asyncio.timeout(DEADLINE_SECONDS):
            await server.start()
            try:
                yield server
            finally:
                await server.stop()

    return serving


@pytest.fixture
async def peers():
    """`connect(server, sent)` opens a connection, sends that and gives its reader and writer; all are closed at the end."""
    opened = []

    async def connect(server, sent=b"", **how):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]), **how)
        opened.append(writer)
        writer.write(sent)
        await writer.drain()
        return reader, writer

    yield connect
    for writer in opened:
        writer.close()
    for writer in opened:
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.fixture
def held(transport, monkeypatch):
    """Long polls wait until `held.release` is set; `held.asked` is released by each, `held.ended` once it waits no more."""

    class Held:
        asked, ended, release = asyncio.Semaphore(0), asyncio.Semaphore(0), asyncio.Event()

    async def inspect(*_, **__):
        Held.asked.release()
        try:
            await Held.release.wait()
        finally:
            Held.ended.release()
        return snapshot("i1")

    monkeypatch.setattr(transport, "inspect", inspect)
    return Held


async def status_of(server, token=TOKEN, **how):
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, **how) as http:
        return (await http.get("/v1/instances/i1", headers={"dapr-api-token": token})).status_code


async def first_line(reader):
    return (await reader.readline()).split()[1]


async def ended(reader):
    """The peer's end of the connection, by FIN or RST; what came before it."""
    came = b""
    with contextlib.suppress(ConnectionError):
        while more := await reader.read(65_536):
            came += more
    return came
