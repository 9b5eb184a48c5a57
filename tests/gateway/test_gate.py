import asyncio

import httpx
import pytest

from perdure.client.client import AsyncWorkflowClient
from perdure.gateway import gate
from perdure.gateway.http import create_app
from perdure.gateway.settings import GatewaySettings
from tests.client.fake_transport import snapshot
from tests.gateway.conftest import URL

TOKEN = "s3cret-s3cret-s3cret"
START = "/v1.0/workflows/dapr/order/start"


def error(response):
    assert set(response.json()) == {"errorCode", "message"}
    return response.status_code, response.json()["errorCode"]


@pytest.fixture
async def guarded(transport):
    settings = GatewaySettings(api_token=TOKEN, host="0.0.0.0")
    app = create_app(AsyncWorkflowClient(transport), settings=settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize(
    "headers", [{}, {"dapr-api-token": TOKEN[:-1]}, {"Authorization": "Bearer no"}, {"Authorization": TOKEN}]
)
@pytest.mark.parametrize("path", ["/v1/instances/i1", "/v1.0/workflows/dapr/i1", "/nowhere"])
async def test_without_the_token_nothing_is_told(guarded, headers, path):
    assert error(await guarded.get(path, headers=headers)) == (401, "ERR_UNAUTHORIZED")


@pytest.mark.parametrize("headers", [{"dapr-api-token": TOKEN}, {"Authorization": f"bearer {TOKEN}"}])
async def test_the_token_opens_from_anywhere(guarded, headers):
    assert (await guarded.get("/v1/instances/i1", headers=headers)).status_code == 200
    assert (await guarded.get("/healthz")).status_code == 200


async def test_a_refused_request_changes_nothing(guarded, transport):
    await guarded.post(START)
    assert not transport.sent


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:3500", "localhost.evil:3500"])
async def test_without_a_token_another_hosts_name_is_refused(http, transport, host):
    assert error(await http.post(START, headers={"Host": host})) == (403, "ERR_FORBIDDEN")
    assert not transport.sent


@pytest.mark.parametrize("host", ["localhost:3500", "127.0.0.1", "[::1]:3500", "127.8.8.8:1"])
async def test_this_machines_names_are_answered(http, host):
    assert (await http.post(START, headers={"Host": host})).status_code == 202


async def test_without_a_token_web_pages_are_refused(http, transport):
    for origin in ("http://evil.example", "null", "http://localhost:8080"):
        assert error(await http.post(START, headers={"Origin": origin})) == (403, "ERR_FORBIDDEN")
    assert not transport.sent
    assert (await http.post(START, headers={"Origin": URL})).status_code == 202


async def test_no_answer_invites_other_origins(http):
    response = await http.get("/healthz", headers={"Origin": "http://evil.example"})
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("said", [True, False], ids=["with-length", "streamed"])
@pytest.mark.parametrize("path", [START, "/v1/instances:purge"])
async def test_a_body_over_the_limit_is_413_whether_or_not_it_says_its_length(http, transport, path, said):
    async def stream():
        for _ in range(40):
            yield b" " * 50_000

    body = b" " * 2_000_000 if said else stream()
    assert error(await http.post(path, content=body)) == (413, "ERR_PAYLOAD_TOO_LARGE")
    assert not transport.sent


async def test_unknown_routes_and_methods_have_the_one_shape(http):
    assert error(await http.get("/v1/nothing")) == (404, "ERR_NOT_FOUND")
    response = await http.delete("/v1/instances/i1")
    assert error(response) == (405, "ERR_METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET"


async def test_a_path_that_is_not_utf8_is_400(http):
    assert error(await http.get("/v1/instances/%ff")) == (400, "ERR_MALFORMED_REQUEST")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "gateway.example"])
def test_without_a_token_only_loopback_is_bound(host):
    with pytest.raises(ValueError, match="PERDURE_GATEWAY_API_TOKEN"):
        GatewaySettings(host=host)
    with pytest.raises(ValueError, match="PERDURE_GATEWAY_API_TOKEN"):
        GatewaySettings(host=host, api_token="")
    assert GatewaySettings(host=host, api_token="x" * 16).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "gateway.example"])
def test_a_token_that_is_guessed_soon_is_taken_on_loopback_only(host):
    with pytest.raises(ValueError, match=r"PERDURE_GATEWAY_API_TOKEN.* 16 characters or more.*openssl rand") as told:
        GatewaySettings(host=host, api_token="tiger-9-tiger-9")
    assert "tiger" not in str(told.value)
    assert GatewaySettings(api_token="abc").callers.are_known


def test_settings_come_from_the_environment_and_hide_the_token(monkeypatch):
    assert GatewaySettings().port == 3500
    monkeypatch.setenv("PERDURE_GATEWAY_PORT", "81")
    monkeypatch.setenv("PERDURE_API_TOKEN", "shared")
    settings = GatewaySettings()
    assert settings.port == 81
    assert settings.api_token.get_secret_value() == "shared"
    assert "shared" not in repr(settings)


async def test_a_web_page_that_tries_does_not_slow_down_who_may_ask(transport, client):
    client.transport = transport
    app = create_app(client, settings=GatewaySettings(api_token=None, requests_per_second=0.01, requests_burst=2))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as http:
        pages = [await http.get("/v1/instances/i1", headers={"Origin": "http://evil.example"}) for _ in range(9)]
        assert [each.status_code for each in pages] == [403, 403, *[429] * 7]
        assert [(await http.get("/v1/instances/i1")).status_code for _ in range(3)] == [200, 200, 429]


async def test_requests_beyond_the_bound_are_told_to_come_back_and_probes_are_answered(monkeypatch, transport, client):
    monkeypatch.setattr(gate, "GATEWAY_REQUESTS_MAX", 2)
    asked, release = asyncio.Semaphore(0), asyncio.Event()

    async def held(*_, **__):
        asked.release()
        await release.wait()
        return snapshot("i1")

    monkeypatch.setattr(transport, "inspect", held)
    client.transport = transport
    app = create_app(client, settings=GatewaySettings(api_token=None))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:3500") as http:
        polls = [asyncio.create_task(http.get("/v1/instances/i1/wait")) for _ in range(2)]
        for _ in polls:
            await asked.acquire()
        refused = await http.get("/v1/instances/i1")
        assert (refused.status_code, refused.json()["errorCode"]) == (429, "ERR_TOO_MANY_REQUESTS")
        assert (await http.get("/healthz")).status_code == 200
        release.set()
        assert [(await poll).status_code for poll in polls] == [200, 200]
        assert (await http.get("/v1/instances/i1")).status_code == 200
