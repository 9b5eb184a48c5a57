"""The clients against the embedded engine: found by themselves, from a running loop, and from one of their own."""

import threading

import pytest

import perdure as wf
from perdure.client.errors import EngineStopped, NotFinished, NotRunning
from perdure.core.events import WorkflowCompleted


@pytest.fixture
def app():
    app = wf.App()

    @app.workflow
    def approval(ctx, request):
        answer = yield ctx.wait_for_external_event("approval-response")
        return {"asked": request, "answer": answer}

    return app


@pytest.fixture
def client(app, tmp_path, monkeypatch):
    for name in ("PERDURE_ENDPOINT", "DAPR_HTTP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with wf.embedded(app, path=tmp_path / "p.db") as client:
        yield client


async def approve_request(workflow_id: str, approved: bool):
    """Pattern 4's function, as it stands in the document."""
    with wf.DaprClient() as d:
        d.raise_workflow_event(
            instance_id=workflow_id,
            workflow_component="dapr",
            event_name="approval-response",
            event_data={"approved": approved},
        )


async def test_an_approval_is_given_from_inside_a_running_loop(client):
    started = client.schedule_new_workflow("approval", input="a")
    await approve_request(started, approved=True)
    state = await wf.aio.DaprWorkflowClient().wait_for_workflow_completion(started, timeout_in_seconds=20)
    assert state.serialized_output == '{"asked":"a","answer":{"approved":true}}'


def test_the_life_of_an_instance_through_the_blocking_client(client):
    started = client.schedule_new_workflow("approval", instance_id="one", input=1)
    with pytest.raises(wf.WorkflowAlreadyExists, match="one"):
        client.schedule_new_workflow("approval", instance_id="one")
    with pytest.raises(wf.UnknownWorkflowError, match="nothing"):
        client.schedule_new_workflow("nothing")
    with pytest.raises(NotFinished):
        client.purge_workflow(started)
    client.pause_workflow(started)
    assert client.get_workflow_state(started).runtime_status == wf.WorkflowStatus.SUSPENDED
    client.resume_workflow(started)
    client.raise_workflow_event(started, "Approval-Response", data=2)
    assert client.wait_for_workflow_completion(started, timeout_in_seconds=20).serialized_output == (
        '{"asked":1,"answer":2}'
    )
    with pytest.raises(NotRunning):
        client.raise_workflow_event(started, "late")
    assert isinstance(client.get_history(started)[-1], WorkflowCompleted)  # the store was given time to catch up
    assert [state.instance_id for state in client.list_workflows(status="COMPLETED")] == ["one"]
    again = client.rerun_workflow(started)
    assert client.describe_workflow(again).detail["awaits"][0]["name"] == "approval-response"
    client.terminate_workflow(again, output="enough")
    assert client.wait_for_workflow_completion(again).serialized_output == '"enough"'
    client.purge_workflow(again)
    assert client.get_workflow_state(again) is None
    with pytest.raises(wf.InstanceNotFound):
        client.get_history(again)


def test_a_repeated_start_has_no_second_effect(client):
    ids = {client.schedule_new_workflow("approval", command_id="order-17") for _ in range(3)}
    assert len(ids) == 1
    assert client.describe_workflow(ids.pop()).run


def test_a_wait_that_takes_too_long_is_a_timeout_error(client):
    started = client.schedule_new_workflow("approval")
    with pytest.raises(TimeoutError, match="not completed"):
        client.wait_for_workflow_completion(started, timeout_in_seconds=0.05)


def test_an_engine_that_stops_lets_its_callers_go_by_name(app, tmp_path):
    engine = wf.embedded(app, path=tmp_path / "q.db")
    engine.start()
    client = engine.client()
    started = client.schedule_new_workflow("approval")
    raised = []

    def wait():
        try:
            client.wait_for_workflow_completion(started)
        except EngineStopped as error:
            raised.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    engine.stop()
    waiting.join(20)
    assert len(raised) == 1
    with pytest.raises(EngineStopped):
        client.get_workflow_state(started)
