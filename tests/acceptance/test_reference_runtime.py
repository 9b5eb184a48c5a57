"""Dapr's shape of a program: a WorkflowRuntime, and clients that find it by themselves."""

import asyncio
import json

import httpx
import pytest

import perdure as wf
from perdure.client.client import AsyncWorkflowClient
from perdure.gateway.http import create_app
from perdure.gateway.server import GatewayServer
from perdure.gateway.settings import GatewaySettings
from tests.acceptance.world import SERVICES

SECONDS = 90


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch):
    for name in (
        "PERDURE_ENDPOINT",
        "DAPR_HTTP_ENDPOINT",
        "PERDURE_DB",
        "PERDURE_API_TOKEN",
        "PERDURE_GATEWAY_API_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PERDURE_LOG_LEVEL", "ERROR")


@pytest.fixture
def runtime(tmp_path):
    runtime = wf.WorkflowRuntime(path=tmp_path / "runtime.db")

    @runtime.activity(name="double")
    def doubled(ctx, number):
        return 2 * number

    @runtime.activity
    def half(ctx, number):
        return number / 2

    @runtime.workflow(name="twice")
    def any_name(ctx, number):
        return (yield ctx.call_activity("double", input=number))

    @runtime.workflow
    def halves(ctx, number):
        return (yield ctx.call_activity(half, input=number))

    @wf.alternate_name("waits")
    def named_elsewhere(ctx, _):
        return (yield ctx.wait_for_external_event("go"))

    def listed(ctx, _):
        return "listed"

    runtime.register_workflow(named_elsewhere)
    runtime.register_workflow(listed, name="on the list")
    runtime.register_activity(lambda ctx: None, name="nothing")
    yield runtime
    runtime.shutdown()


def test_a_program_of_daprs_shape_runs_and_starts_again(runtime):
    for _ in range(2):
        runtime.start()
        assert runtime.wait_for_worker_ready(timeout=SECONDS)
        client = wf.DaprWorkflowClient()
        for name, given, output in (("twice", 4, 8), ("halves", 4, 2.0), ("on the list", None, "listed")):
            instance_id = client.schedule_new_workflow(name, input=given)
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SECONDS)
            assert json.loads(state.serialized_output) == output
        client.close()
        runtime.shutdown()


def test_its_registry_holds_every_name(runtime):
    assert set(runtime.app.workflows) == {"twice", "halves", "waits", "on the list"}
    assert set(runtime.app.activities) == {"double", "half", "nothing"}


@pytest.mark.parametrize("engine", ["embedded", SERVICES])
def test_the_async_client_finds_it_too(runtime, engine, request, monkeypatch):
    async def body():
        async with wf.aio.DaprWorkflowClient() as client:
            instance_id = await client.schedule_new_workflow("waits", instance_id="i")
            await client.wait_for_workflow_start(instance_id, timeout_in_seconds=SECONDS)
            await client.pause_workflow("i")
            await client.resume_workflow("i")
            await client.raise_workflow_event("i", "go", data=7)
            state = await client.wait_for_workflow_completion("i", timeout_in_seconds=SECONDS)
            await client.purge_workflow("i")
            return state.serialized_output, await client.get_workflow_state("i")

    if engine == "embedded":
        runtime.start()
    else:
        monkeypatch.setenv("PERDURE_ENDPOINT", request.getfixturevalue("services_url"))
    assert asyncio.run(body()) == ("7", None)


def test_what_is_not_built_raises_by_name(runtime):
    with pytest.raises(NotImplementedError, match="register_versioned_workflow"):
        runtime.register_versioned_workflow(lambda ctx: None, name="w", version_name="v2", is_latest=True)
    with pytest.raises(NotImplementedError, match="no sidecar"):
        wf.WorkflowRuntime(host="localhost", port=50001)


@pytest.fixture
def embedded_url(runtime):
    """A gateway before the runtime's engine."""
    runtime.start()
    engine = runtime._engine
    settings = GatewaySettings(port=0)
    server = GatewayServer(
        create_app(AsyncWorkflowClient(engine.transport, app=runtime.app), settings=settings), settings
    )
    engine.portal.call(server.start)
    yield server.url
    engine.portal.call(server.stop)


@pytest.fixture
def services_url(runtime, services_of):
    """The gateway among separate processes that serve what the runtime registered."""
    return services_of(runtime.app).url


@pytest.fixture(params=["embedded", SERVICES])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def http(url):
    with httpx.Client(base_url=url, trust_env=False, timeout=SECONDS) as http:
        yield http


def ended(http, instance_id):
    assert http.get(f"/v1/instances/{instance_id}/wait", params={"timeout": 60}).status_code == 200


@pytest.mark.parametrize("version", ["v1.0", "v1.0-beta1", "v1.0-alpha1"])
def test_the_seven_routes_drive_the_engine_under_each_version(http, version):
    root = f"/{version}/workflows/dapr"
    assert http.post(f"{root}/waits/start", params={"instanceID": "i"}, json={"n": 1}).json() == {"instanceID": "i"}
    for verb, status in (("pause", "SUSPENDED"), ("resume", "RUNNING")):
        answer = http.post(f"{root}/i/{verb}")
        assert (answer.status_code, answer.json()) == (202, {})
        assert http.get(f"{root}/i").json()["runtimeStatus"] == status
    assert http.post(f"{root}/i/raiseEvent/GO", json={"by": "me"}).status_code == 202
    ended(http, "i")
    shown = http.get(f"{root}/i").json()
    assert (shown["workflowName"], shown["runtimeStatus"]) == ("waits", "COMPLETED")
    assert (shown["serializedOutput"], shown["properties"]["dapr.workflow.input"]) == ('{"by":"me"}', '{"n":1}')
    assert http.post(f"{root}/i/purge").status_code == 202
    assert http.get(f"{root}/i").json()["errorCode"] == "ERR_INSTANCE_ID_NOT_FOUND"
    http.post(f"{root}/waits/start", params={"instanceID": "t"})
    assert http.post(f"{root}/t/terminate").status_code == 202
    assert http.get(f"{root}/t").json()["runtimeStatus"] == "TERMINATED"


def test_the_component_is_not_checked(http):
    root = "/v1.0/workflows/whatever"
    assert http.post(f"{root}/waits/start", params={"instanceID": "i"}).status_code == 202


def test_a_failed_instance_is_shown_with_its_failure(http):
    root = "/v1.0/workflows/dapr"
    http.post(f"{root}/halves/start", params={"instanceID": "f"}, json="no number")
    ended(http, "f")
    shown = http.get(f"{root}/f").json()
    assert shown["runtimeStatus"] == "FAILED"
    assert shown["properties"]["dapr.workflow.failure.error_type"] == "TaskFailedError"
