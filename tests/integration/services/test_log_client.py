"""Clients over the log itself: an orchestrator, a worker and a timer service run, and no gateway."""

from __future__ import annotations

import json

import pytest

import perdure as wf
from perdure.client.errors import GatewayNeeded, NotRunning, WorkflowAlreadyExists
from perdure.ports.errors import TopicMissing

SECONDS = 90.0

pytestmark = pytest.mark.slow


@pytest.fixture
def address(bootstrapped, monkeypatch):
    """The log's, with the environment of a client: no store is named in it."""
    roles = [bootstrapped.run(role) for role in ("orchestrator", "activity-worker", "timer")]
    for role in roles:
        role.ready()
    monkeypatch.delenv("PERDURE_STORE", raising=False)
    monkeypatch.setenv("PERDURE_NAMESPACE", bootstrapped.environ["PERDURE_NAMESPACE"])
    return bootstrapped.environ["PERDURE_LOG"]


def test_a_client_starts_steers_and_waits_without_a_gateway(address):
    with wf.DaprWorkflowClient(address) as client:
        order = client.schedule_new_workflow("order", input="order-1", instance_id="order-1")
        started = client.wait_for_workflow_start(order, timeout_in_seconds=SECONDS)
        assert started.name == "order"
        ended = client.wait_for_workflow_completion(order, timeout_in_seconds=SECONDS)
        assert (ended.runtime_status, ended.serialized_output) == (wf.WorkflowStatus.COMPLETED, "[0,1,2]")
        with pytest.raises(NotRunning):
            client.raise_workflow_event(order, "late")
        client.purge_workflow(order)
        assert client.get_workflow_state(order) is None
        _approve_in_a_pause(client)
        _terminate(client)
        for asked in (client.list_workflows, lambda: client.get_history("approval-1")):
            with pytest.raises(GatewayNeeded, match="perdure run gateway"):
                asked()


def _approve_in_a_pause(client):
    """An event that comes in a pause counts once the pause is over."""
    approval = client.schedule_new_workflow("approval", instance_id="approval-1")
    with pytest.raises(WorkflowAlreadyExists):
        client.schedule_new_workflow("approval", instance_id="approval-1")
    client.wait_for_workflow_start(approval, timeout_in_seconds=SECONDS)
    client.pause_workflow(approval)
    assert client.get_workflow_state(approval).runtime_status == wf.WorkflowStatus.SUSPENDED
    client.raise_workflow_event(approval, "approved", data={"by": "anna"})
    described = client.describe_workflow(approval)
    assert (described.state.name, described.owner != "") == ("approval", True)
    assert [each["name"] for each in described.detail["awaits"]] == ["approved"]
    client.resume_workflow(approval)
    ended = client.wait_for_workflow_completion(approval, timeout_in_seconds=SECONDS)
    assert ended.serialized_output == '{"by":"anna"}'


def _terminate(client):
    ended = client.schedule_new_workflow("approval")
    client.terminate_workflow(ended, output="enough")
    state = client.wait_for_workflow_completion(ended, timeout_in_seconds=SECONDS)
    assert (state.runtime_status, state.serialized_output) == (wf.WorkflowStatus.TERMINATED, '"enough"')


async def test_its_asyncio_twin_is_told_the_address_by_the_environment(address, monkeypatch):
    monkeypatch.setenv("PERDURE_ENDPOINT", address)
    async with wf.aio.DaprWorkflowClient() as client:
        approval = await client.schedule_new_workflow("approval")
        await client.raise_workflow_event(approval, "approved", data=7)
        ended = await client.wait_for_workflow_completion(approval, timeout_in_seconds=SECONDS)
        assert ended.serialized_output == "7"
        with pytest.raises(GatewayNeeded):
            await client.list_workflows()


def test_the_commands_take_the_logs_address(bootstrapped, address):
    """One line of JSON, an exit code, and nothing else on standard output."""
    started = bootstrapped.perdure("start", "approval", "--id", "approval-2", "--json", "--endpoint", address)
    assert started.returncode == 0, started.stderr
    event = bootstrapped.perdure("raise-event", "approval-2", "approved", "--endpoint", address)
    assert event.returncode == 0, event.stderr
    ended = bootstrapped.perdure("wait", "approval-2", "--json", PERDURE_ENDPOINT=address)
    assert json.loads(ended.stdout)["runtimeStatus"] == "COMPLETED", ended.stderr
    refused = bootstrapped.perdure("list", "--endpoint", address)
    assert refused.returncode == 4
    assert "perdure run gateway" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_namespace_that_was_never_bootstrapped_is_told_so(kafka_address, namespace, monkeypatch):
    monkeypatch.setenv("PERDURE_NAMESPACE", f"{namespace}-other")
    with wf.DaprWorkflowClient(f"kafka://{kafka_address}") as client, pytest.raises(TopicMissing, match="bootstrap"):
        client.schedule_new_workflow("order", input="order-1")
