import httpx
import pytest

from perdure.client.client import AsyncWorkflowClient
from perdure.gateway.http import create_app
from perdure.gateway.settings import GatewaySettings
from tests.client.fake_transport import FakeTransport, snapshot

URL = "http://127.0.0.1:3500"


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
def app(shared_app, client, transport):
    client.transport = transport  # building an application takes longer than the test
    return shared_app


@pytest.fixture
async def http(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
        yield client
