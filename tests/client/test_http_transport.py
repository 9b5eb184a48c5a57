"""The HTTP transport against the real gateway, in process: what goes in at one end comes out at the other."""

import asyncio
import dataclasses

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.client import http_transport
from perdure.client.client import AsyncWorkflowClient
from perdure.client.discovery import answers
from perdure.client.errors import EngineUnavailable, InstanceNotFound, Unauthorized
from perdure.client.http_requests import segment
from perdure.client.http_transport import HttpTransport
from perdure.client.wire import CODES
from perdure.core.commands import (
    PurgeWorkflow,
    RaiseEvent,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.events import ActivityScheduled, CarriedChild, RetrySpec, WorkflowStarted
from perdure.gateway import readiness
from perdure.gateway.http import create_app
from perdure.gateway.server import GatewayServer
from perdure.gateway.settings import GatewaySettings
from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import Filter
from tests.client.fake_transport import FakeTransport, row, snapshot

WAITS = 150
URL = "http://127.0.0.1:3500"
behind = AsyncWorkflowClient(FakeTransport())
app = create_app(behind, settings=GatewaySettings(api_token=None))


@pytest.fixture
def engine():
    behind.transport = FakeTransport(
        snapshot("i1"),
        snapshot(
            "f", status="FAILED", output="1", custom_status='"c"', error_type="E", error_message="m", stack_trace="s"
        ),
        snapshot("parent:0001:a/b%ä", parent_id="parent", partition=-1, generation=4),
    )
    return behind.transport


def over_http(through=None, **more):
    return HttpTransport(URL, SystemEntropy(), SystemClock(), through=through or httpx.ASGITransport(app), **more)


@pytest.fixture
async def transport(engine):
    found = over_http()
    yield found
    await found.close()


ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
chosen_ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
payloads = st.sampled_from(["", "1", '{"a": [1,  2]}', '"ä"', "null"])
who = st.text(st.characters(codec="utf-8", categories=["L", "N"]), max_size=20)
keys = st.from_regex(r"[!-~]{1,40}", fullmatch=True)
starts = st.builds(
    StartWorkflow,
    names,
    payloads,
    command_id=keys,
    requested_by=who,
    start_at_us=st.integers(0, 2**52),
    rerun_of=st.text(st.characters(codec="utf-8"), max_size=20),
)
others = st.one_of(
    st.builds(RaiseEvent, names, payloads, command_id=keys, requested_by=who),
    st.builds(SuspendWorkflow, command_id=keys, requested_by=who),
    st.builds(ResumeWorkflow, command_id=keys, requested_by=who),
    st.builds(TerminateWorkflow, payloads, st.booleans(), command_id=keys, requested_by=who),
    st.builds(PurgeWorkflow, st.booleans(), command_id=keys, requested_by=who),
)
told = st.one_of(st.tuples(chosen_ids, starts), st.tuples(ids, others))


@given(told=told)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_command_arrives_as_it_was_sent(engine, told):
    engine.sent.clear()
    instance_id, command = told
    transport = over_http()
    reply = await transport.send(instance_id, dataclasses.replace(command))
    assert reply.accepted
    assert engine.sent == [(instance_id, command)]
    await transport.close()


@pytest.mark.parametrize("reason", CODES)
async def test_every_refusal_comes_back_with_its_reason(engine, transport, reason):
    engine.refuse(reason, "because")
    reply = await transport.send("i1", SuspendWorkflow())
    assert (reply.accepted, reply.reason, reply.message) == (False, reason, "because")


@pytest.mark.parametrize("instance_id", ["i1", "f", "parent:0001:a/b%ä"])
async def test_a_snapshot_comes_back_as_the_owner_gave_it(engine, transport, instance_id):
    assert await transport.inspect(instance_id) == engine.known[instance_id]


async def test_a_description_comes_back_with_its_detail(transport):
    assert (await transport.inspect("i1", detail=True)).detail == '{"awaits": []}'


async def test_an_unknown_instance_is_none_and_has_no_history(transport):
    assert await transport.inspect("nobody") is None
    assert await transport.inspect("nobody", until="completed") is None
    with pytest.raises(InstanceNotFound):
        await transport.history("nobody")


async def test_a_long_wait_is_several_polls(engine, transport, monkeypatch):
    monkeypatch.setattr(http_transport, "WAIT_SECONDS", 0.01)
    answers = iter([TimeoutError, TimeoutError, None])
    original = engine.inspect

    async def inspect(instance_id, **asked):
        raised = next(answers)
        if raised is not None:
            raise raised
        return await original("f", **asked)

    engine.inspect = inspect
    assert (await transport.inspect("f", until="completed")).status == "FAILED"


async def test_a_wait_ends_with_a_timeout_error(transport):
    with pytest.raises(TimeoutError, match=r"not completed: 'i1' within 0\.01 s"):
        await transport.inspect("i1", until="completed", timeout_s=0.01)


async def test_a_list_comes_back_row_by_row(engine, transport):
    where = Filter(("a", "b"), ("RUNNING", "FAILED"), "", 5, 7_000_000)
    page = await transport.list(where, 2)
    assert page.rows == [row(engine.known["i1"]), row(engine.known["f"])]
    assert page.next == "more"
    assert engine.listed == [(where, 2, "")]
    with pytest.raises(ValueError, match="no page"):
        await transport.list(Filter(), 2, "no page")


async def test_a_history_comes_back_as_events(engine, transport):
    engine.events["i1"] = [
        WorkflowStarted(
            "0.0.1", 0, 1, 5, "order", '{"n": 1}', carried_command_ids=["a"], carried_children=[CarriedChild("c", 1, 2)]
        ),
        ActivityScheduled("0.0.1", 0, 2, 5, 1, 1, "pay", retry=RetrySpec(1, 2, 1.5, non_retryable=["E"])),
    ]
    assert await transport.history("i1") == engine.events["i1"]


async def test_a_gateway_without_its_engine_is_told_so(engine, monkeypatch):
    monkeypatch.setattr(readiness, "SHARED_SECONDS", 0)
    asked = create_app(behind, settings=GatewaySettings(api_token=None))  # nobody else's answer holds there
    transport = over_http(httpx.ASGITransport(asked))
    await transport.check()
    engine.raises = StoreUnavailable("the store is down")
    with pytest.raises(EngineUnavailable, match="the store is down"):
        await transport.check()
    await transport.close()


async def test_no_gateway_at_all_is_told_at_once():
    def refuse(request):
        raise httpx.ConnectError("refused")

    transport = over_http(httpx.MockTransport(refuse))
    with pytest.raises(EngineUnavailable, match=f"no gateway answers at {URL}"):
        await transport.send("i1", SuspendWorkflow())


async def test_a_broken_connection_is_repeated_under_the_same_key(monkeypatch):
    monkeypatch.setattr(http_transport, "RETRY_SECONDS", 0)
    keys = []

    def breaks(request):
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx.ReadError("gone")
        if len(keys) == 2:
            raise httpx.ConnectError("starting again")
        return httpx.Response(202, json={})

    transport = over_http(httpx.MockTransport(breaks))
    assert (await transport.send("i1", SuspendWorkflow())).accepted
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_a_wrong_token_is_told_by_name(engine):
    guarded = create_app(behind, settings=GatewaySettings(api_token="right"))
    for token in ("", "wrong"):
        transport = over_http(httpx.ASGITransport(guarded), api_token=token)
        with pytest.raises(Unauthorized, match="API token"):
            await transport.inspect("i1")
        await transport.close()
    transport = over_http(httpx.ASGITransport(guarded), api_token="right")
    assert await transport.inspect("nobody") is None
    await transport.close()


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(502, text="bad gateway")])
async def test_something_else_at_the_address_is_told_so(answer):
    transport = over_http(httpx.MockTransport(lambda request: answer))
    with pytest.raises(EngineUnavailable, match="no answer of a Perdure gateway"):
        await transport.inspect("i1")


@pytest.mark.parametrize("text", [".", "..", "a/b", "%2F", "a b", "ä", "?", "#"])
def test_a_segment_stays_one_segment(text):
    from urllib.parse import unquote

    url = httpx.URL(f"{URL}/v1/instances/{segment(text)}/wait")
    assert unquote(url.raw_path.decode().split("/")[3]) == text


def test_nothing_at_the_default_address_is_no_gateway():
    assert not answers("http://127.0.0.1:1")


class Held(FakeTransport):
    """Nothing completes before something was sent."""

    def __init__(self, *known):
        super().__init__(*known)
        self.waiting, self.started = 0, asyncio.Event()

    async def send(self, instance_id, command, *, timeout_s=None):
        self.started.set()
        return await super().send(instance_id, command, timeout_s=timeout_s)

    async def inspect(self, instance_id, *, until="now", timeout_s=None, detail=False):
        self.waiting += 1
        await self.started.wait()
        return await super().inspect(instance_id, until=until, timeout_s=timeout_s, detail=detail)


async def test_a_start_does_not_stand_behind_others_that_wait():
    """More wait than httpx would connect at once by itself."""
    engine = Held(snapshot("i1", status="COMPLETED"))
    settings = GatewaySettings(port=0, api_token=None)
    server = GatewayServer(create_app(AsyncWorkflowClient(engine), settings=settings), settings)
    await server.start()
    transport = HttpTransport(server.url, SystemEntropy(), SystemClock())
    async with asyncio.timeout(30):
        waits = [asyncio.ensure_future(transport.inspect("i1", until="completed")) for _ in range(WAITS)]
        while engine.waiting < WAITS:
            await asyncio.sleep(0.01)
        assert (await transport.send("i2", StartWorkflow("w", "", "c"))).accepted
        assert {each.status for each in await asyncio.gather(*waits)} == {"COMPLETED"}
    await transport.close()
    await server.stop()
