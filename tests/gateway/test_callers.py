"""Named tokens, how often a client may ask, and TLS."""

from __future__ import annotations

import ssl

import httpx
import pytest

import perdure as wf
from perdure.client.client import AsyncWorkflowClient
from perdure.core.limits import GATEWAY_RATED_CLIENTS_MAX, GATEWAY_TOKENS_MAX
from perdure.gateway import rates as rates_module
from perdure.gateway.http import create_app
from perdure.gateway.rates import Rates
from perdure.gateway.server import GatewayServer
from perdure.gateway.settings import GatewaySettings
from tests.brokers.certificates import Authority

ANN, BOT, OLD = "a" * 32, "b" * 32, "c" * 32
PAUSE = "/v1/instances/i1/pause"


def client_of(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


@pytest.fixture
def tokens(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# who asks\nann {ANN}\n\nbot {BOT} may-name-others\n")
    return file


@pytest.fixture
async def http(transport, tokens):
    settings = GatewaySettings(api_token=OLD, tokens_file=tokens, host="0.0.0.0")
    async with client_of(create_app(AsyncWorkflowClient(transport), settings=settings)) as client:
        yield client


@pytest.mark.parametrize(
    ("token", "said", "told"),
    [
        (ANN, None, "ann"),
        (ANN, "eve", "ann"),
        (BOT, None, "bot"),
        (BOT, "carol", "carol"),
        (OLD, None, ""),
        (OLD, "carol", "carol"),
    ],
)
@pytest.mark.parametrize("path", [PAUSE, "/v1.0/workflows/dapr/i1/pause"])
async def test_the_history_is_told_the_tokens_name_unless_it_may_name_others(http, transport, token, said, told, path):
    headers = {"dapr-api-token": token} | ({} if said is None else {"X-Requested-By": said})
    assert (await http.post(path, headers=headers)).status_code == 202
    [(_, command)] = transport.sent
    assert command.requested_by == told


@pytest.mark.parametrize("token", ["", "ann", ANN[:-1], ANN + "a", "é"])
async def test_what_is_no_token_opens_nothing(http, transport, token):
    response = await http.post(PAUSE, headers={"dapr-api-token": token.encode()})
    assert response.status_code == 401
    assert not transport.sent


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no token"),
        ("ann", "line 1: write NAME TOKEN"),
        (f"ann {ANN} admin", "line 1: write NAME TOKEN"),
        (f"a/b {ANN}", "line 1: write NAME TOKEN"),
        ("ann short", "line 1: a token has 16"),
        (f"ann {ANN}\nbob {ANN}", "line 2: bob has the same token as ann"),
        ("\n".join(f"u{n} {n:032}" for n in range(GATEWAY_TOKENS_MAX + 1)), "at most 1,000"),
    ],
)
def test_a_file_that_is_wrong_is_told_without_its_tokens(tmp_path, text, says):
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(ValueError, match="PERDURE_GATEWAY_TOKENS_FILE") as told:
        GatewaySettings(tokens_file=file)
    assert says in str(told.value)
    assert ANN not in str(told.value)
    assert "short" not in str(told.value)


def test_a_file_that_is_not_there_is_told_and_one_that_is_opens_the_gateway_to_others(tmp_path, tokens):
    with pytest.raises(ValueError, match="PERDURE_GATEWAY_TOKENS_FILE: names no file"):
        GatewaySettings(tokens_file=tmp_path / "none")
    assert GatewaySettings(tokens_file=tokens, host="0.0.0.0").callers.are_known


def test_a_bucket_empties_and_fills_as_time_passes():
    rates = Rates(2.0, 3)
    assert [rates.take("a", 100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert rates.take("a", 100.0) == pytest.approx(0.5)
    assert rates.take("b", 100.0) == 0.0
    assert rates.take("a", 100.4) == pytest.approx(0.1)
    assert rates.take("a", 100.5) == 0.0
    assert [rates.take("a", 1_000.0) for _ in range(4)][:3] == [0.0, 0.0, 0.0]
    assert rates.take("a", 1_000.0) > 0


def test_memory_of_clients_is_bounded_and_the_longest_silent_is_forgotten(monkeypatch):
    monkeypatch.setattr(rates_module, "GATEWAY_RATED_CLIENTS_MAX", 3)
    rates = Rates(0.001, 1)
    assert GATEWAY_RATED_CLIENTS_MAX == 10_000
    for number in range(10):
        assert rates.take(f"client {number}", float(number)) == 0.0
    assert rates.known == 3
    assert rates.take("client 9", 10.0) > 0
    assert rates.take("client 0", 10.0) == 0.0


def test_without_a_rate_nobody_is_counted():
    rates = Rates(0.0, 1)
    assert [rates.take("a", 0.0) for _ in range(5)] == [0.0] * 5
    assert rates.known == 0


async def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_answered(transport, tokens):
    settings = GatewaySettings(tokens_file=tokens, requests_per_second=0.01, requests_burst=2)
    async with client_of(create_app(AsyncWorkflowClient(transport), settings=settings)) as http:
        ann, bot = ({"dapr-api-token": token} for token in (ANN, BOT))
        for _ in range(2):
            assert (await http.get("/v1/instances/i1", headers=ann)).status_code == 200
        refused = await http.get("/v1/instances/i1", headers=ann)
        assert (refused.status_code, refused.json()["errorCode"]) == (429, "ERR_TOO_MANY_REQUESTS")
        assert 90 < int(refused.headers["retry-after"]) <= 100
        assert (await http.get("/v1/instances/i1", headers=bot)).status_code == 200
        assert (await http.get("/healthz", headers=ann)).status_code == 200


async def test_guessing_tokens_is_bounded_too(transport, tokens):
    settings = GatewaySettings(tokens_file=tokens, requests_per_second=0.01, requests_burst=2)
    async with client_of(create_app(AsyncWorkflowClient(transport), settings=settings)) as http:
        answers = [(await http.get("/v1/instances/i1", headers={"dapr-api-token": f"no{n}"})) for n in range(3)]
        assert [each.status_code for each in answers] == [401, 401, 429]


@pytest.mark.parametrize("right", [ANN, OLD], ids=["named", "single"])
async def test_guessing_does_not_slow_down_the_right_token_of_the_same_address(transport, tokens, right):
    settings = GatewaySettings(api_token=OLD, tokens_file=tokens, requests_per_second=0.01, requests_burst=2)
    async with client_of(create_app(AsyncWorkflowClient(transport), settings=settings)) as http:

        async def status(token):
            return (await http.get("/v1/instances/i1", headers={"dapr-api-token": token})).status_code

        assert [await status(f"no{n}") for n in range(20)] == [401, 401, *[429] * 18]
        assert [await status(right) for _ in range(3)] == [200, 200, 429]
        assert await status("") == 429


async def test_with_a_certificate_it_speaks_tls_and_nothing_else(app, tmp_path, monkeypatch):
    authority = Authority(tmp_path)
    made = authority.issue("gateway", key_password="locked-up")
    settings = GatewaySettings(
        port=0, certificate_file=made.certificate, key_file=made.key, key_password="locked-up"
    )  # fmt: skip
    server = GatewayServer(app, settings)
    await server.start()
    assert server.url.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=authority.file)
    async with httpx.AsyncClient(base_url=server.url, verify=trusting, trust_env=False) as http:
        assert (await http.get("/healthz")).status_code == 200
    monkeypatch.setenv("PERDURE_ENDPOINT_CA_FILE", str(authority.file))
    async with wf.aio.DaprWorkflowClient(server.url) as ours:
        assert (await ours.get_workflow_state("i1")).instance_id == "i1"
    monkeypatch.setenv("PERDURE_ENDPOINT_CA_FILE", str(made.key))
    with pytest.raises(ValueError, match="PERDURE_ENDPOINT_CA_FILE"):
        wf.aio.DaprWorkflowClient(server.url)
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.TransportError):
            await http.get(server.url.replace("https", "http") + "/healthz")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await http.get(server.url + "/healthz")
    await server.stop()


async def test_it_may_ask_for_the_clients_certificate(app, tmp_path):
    authority = Authority(tmp_path)
    made, caller = authority.issue("gateway"), authority.issue("caller")
    settings = GatewaySettings(
        port=0, certificate_file=made.certificate, key_file=made.key, client_ca_file=authority.file
    )
    server = GatewayServer(app, settings)
    await server.start()
    known, unknown = (ssl.create_default_context(cafile=authority.file) for _ in range(2))
    known.load_cert_chain(caller.certificate, caller.key)
    async with httpx.AsyncClient(base_url=server.url, verify=known, trust_env=False) as http:
        assert (await http.get("/healthz")).status_code == 200
    async with httpx.AsyncClient(base_url=server.url, verify=unknown, trust_env=False) as http:
        with pytest.raises(httpx.TransportError):
            await http.get("/healthz")
    await server.stop()


def test_files_that_are_wrong_are_told_by_name_and_nothing_of_the_key(tmp_path):
    authority = Authority(tmp_path)
    made, other = authority.issue("gateway", key_password="locked-up"), authority.issue("other")
    for given in (
        {"certificate_file": made.certificate},
        {"certificate_file": made.certificate, "key_file": other.key},
        {"certificate_file": made.certificate, "key_file": made.key, "key_password": "hush-wrong"},
        {"certificate_file": made.certificate, "key_file": made.key},
        {"certificate_file": tmp_path / "none", "key_file": made.key},
        {"client_ca_file": authority.file},
    ):
        with pytest.raises(ValueError, match="PERDURE_GATEWAY_CERTIFICATE_FILE") as told:
            GatewaySettings(**given)
        assert "hush" not in str(told.value)
        assert "PRIVATE" not in str(told.value)
