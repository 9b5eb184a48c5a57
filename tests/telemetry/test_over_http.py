"""Context on its way through a client over HTTP, the gateway and the log's headers."""

from __future__ import annotations

from contextlib import asynccontextmanager

import httpx
import pytest
from opentelemetry import trace

from perdure.adapters.memory import MemoryBroker, MemoryHistoryStore, MemoryLog, MemoryTimerStore
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import Engine, Ports
from perdure.client.client import AsyncWorkflowClient
from perdure.client.http_transport import HttpTransport
from perdure.codec.avro import encode
from perdure.core.commands import StartWorkflow
from perdure.embedding import embedded_settings
from perdure.gateway.http import create_app
from perdure.ports.log import Outgoing
from tests.telemetry.collected import steps
from tests.telemetry.programs import make_app

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

pytestmark = pytest.mark.filterwarnings("ignore:You should use InstrumentationScope")


@asynccontextmanager
async def running():
    """The engine in memory, its gateway, and a plain HTTP client of that."""
    clock = SystemClock()
    log = MemoryLog(MemoryBroker(clock))
    ports = Ports(log, MemoryHistoryStore(), MemoryTimerStore(), clock, SystemEntropy(), log.close)
    engine = Engine(make_app(), ports, embedded_settings())
    await engine.start()
    through = httpx.ASGITransport(create_app(AsyncWorkflowClient(engine.transport)))
    try:
        async with httpx.AsyncClient(transport=through, base_url="http://127.0.0.1") as http:
            yield engine, ports, through, http
    finally:
        await engine.stop()


async def started(engine, instance_id):
    client = AsyncWorkflowClient(engine.transport)
    await client.raise_workflow_event(instance_id, "go", data=1)
    await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
    return (await client.get_history(instance_id))[0]


async def test_the_gateway_goes_on_in_its_callers_trace(collected):
    async with running() as (engine, _, _, http):
        headers = {"traceparent": CALLER, "tracestate": "vendor=1"}
        path = "/v1/workflows/waiting/start"
        assert (await http.post(path, params={"instance_id": "w1"}, headers=headers)).status_code == 202
        event = await started(engine, "w1")
    (created,), (whole,) = collected.named("create_orchestration||waiting"), collected.named("orchestration||waiting")
    assert f"{created.trace_id:032x}-{created.parent_id:016x}" in CALLER
    assert (whole.trace_id, whole.parent_id) == created.key
    assert event.tracestate == "vendor=1"


async def test_without_a_provider_the_callers_context_is_passed_on_all_the_same():
    async with running() as (engine, _, _, http):
        headers = {"traceparent": CALLER, "tracestate": "vendor=1"}
        path = "/v1/workflows/waiting/start"
        assert (await http.post(path, params={"instance_id": "w1"}, headers=headers)).status_code == 202
        event = await started(engine, "w1")
    assert (event.traceparent, event.tracestate) == (CALLER, "vendor=1")


async def test_a_client_over_http_sends_its_current_span_along(collected):
    async with running() as (engine, ports, through, _):
        transport = HttpTransport("http://127.0.0.1", ports.entropy, ports.clock, through=through)
        client = AsyncWorkflowClient(transport)
        with trace.get_tracer("shop").start_as_current_span("checkout"):
            await client.schedule_new_workflow("waiting", instance_id="w1")
        await started(engine, "w1")
        await client.close()
    (checkout,), (created,) = collected.named("checkout"), collected.named("create_orchestration||waiting")
    assert (created.trace_id, created.parent_id) == checkout.key


async def test_a_producer_that_knows_only_w3c_puts_its_context_beside_the_command(collected):
    async with running() as (engine, ports, _, _):
        command = StartWorkflow("waiting", command_id="c1")
        beside = (("traceparent", CALLER.encode()), ("tracestate", b"vendor=1"))
        await ports.log.append([Outgoing(engine.topics.instances, 0, b"w1", encode(command), beside)])
        event = await started(engine, "w1")
    (whole,) = collected.named("orchestration||waiting")
    assert f"{whole.trace_id:032x}-{whole.parent_id:016x}" in CALLER
    assert event.tracestate == "vendor=1"


async def test_tasks_results_and_commands_carry_the_context_in_their_headers(collected):
    async with running() as (engine, ports, _, _):
        client = AsyncWorkflowClient(engine.transport)
        await client.schedule_new_workflow("rounds", input=2, instance_id="r1")
        await client.wait_for_workflow_completion("r1", timeout_in_seconds=30)
        tasks = await ports.log.fetch(engine.topics.activities(), 0, 0, 10)
        commands = await ports.log.fetch(engine.topics.instances, 0, 0, 10)
    (whole,), (note,) = collected.named("orchestration||rounds"), collected.named("activity||note")
    (created,) = collected.named("create_orchestration||rounds")
    told = [dict(record.headers)["traceparent"].decode() for record in (*tasks, *commands) if record.headers]
    spans = {f"00-{span.trace_id:032x}-{span.span_id:016x}-01": span.name for span in (whole, note, created)}
    assert [spans[each] for each in told] == [
        "orchestration||rounds", "create_orchestration||rounds", "activity||note",
    ]  # fmt: skip
    assert {span.trace_id for span in steps(collected.spans)} == {whole.trace_id}


async def test_a_provider_that_fails_disturbs_no_workflow(collected, monkeypatch):
    from opentelemetry.sdk.trace import SpanProcessor

    class Broken(SpanProcessor):
        def on_end(self, span):
            raise RuntimeError("no room")

    collected.provider.add_span_processor(Broken())
    async with running() as (engine, _, _, _):
        client = AsyncWorkflowClient(engine.transport)
        await client.schedule_new_workflow("rounds", input=2, instance_id="r1")
        state = await client.wait_for_workflow_completion("r1", timeout_in_seconds=30)
    assert state.runtime_status.name == "COMPLETED"
