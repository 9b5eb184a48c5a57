import pytest

from perdure.client import running
from perdure.client.dapr import DaprClient, GetWorkflowResponse
from perdure.client.errors import InstanceNotFound
from perdure.client.portal import ThreadPortal
from perdure.core.commands import (
    PurgeWorkflow,
    RaiseEvent,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.errors import PayloadError
from tests.client.fake_transport import FakeTransport, snapshot


class Engine:
    def __init__(self):
        self.portal = ThreadPortal()
        self.transport = FakeTransport(
            snapshot("ok", status="COMPLETED", output='"yes"', custom_status='"s"'),
            snapshot("bad", status="FAILED", input="", error_type="ValueError", error_message="no", stack_trace="at"),
        )


@pytest.fixture
def engine(monkeypatch):
    for name in ("PERDURE_ENDPOINT", "DAPR_HTTP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    found = Engine()
    running.register(found)
    yield found
    running.unregister(found)
    found.portal.close()


async def test_the_approval_of_the_patterns_document_can_be_given_inside_a_running_loop(engine):
    with DaprClient() as d:
        d.raise_workflow_event(
            instance_id="ok",
            workflow_component="dapr",
            event_name="approval-response",
            event_data={"approved": True},
        )
    ((instance_id, command),) = engine.transport.sent
    assert instance_id == "ok"
    assert (command.name, command.data) == ("approval-response", '{"approved":true}')


def test_the_seven_verbs_send_their_commands(engine):
    with DaprClient() as d:
        started = d.start_workflow(workflow_component="dapr", workflow_name="order", input={"n": 1}, instance_id="o-1")
        d.raise_workflow_event("ok", "dapr", "paid")
        d.pause_workflow("ok", "dapr")
        d.resume_workflow("ok", "dapr")
        d.terminate_workflow("ok", "dapr")
        d.purge_workflow("ok", "dapr")
        d.get_workflow("ok", "dapr")
    assert started.instance_id == "o-1"
    assert [type(command) for _, command in engine.transport.sent] == [
        StartWorkflow, RaiseEvent, SuspendWorkflow, ResumeWorkflow, TerminateWorkflow, PurgeWorkflow,
    ]  # fmt: skip


def test_a_workflow_is_shown_with_daprs_properties_and_spelling(engine):
    with DaprClient() as d:
        found = d.get_workflow(instance_id="ok", workflow_component="dapr")
        assert isinstance(found, GetWorkflowResponse)
        assert found.runtime_status == "Completed"
        assert found.properties == {
            "dapr.workflow.input": '{"n":1}',
            "dapr.workflow.output": '"yes"',
            "dapr.workflow.custom_status": '"s"',
        }
        assert d.get_workflow("bad", "dapr").properties == {
            "dapr.workflow.failure.error_type": "ValueError",
            "dapr.workflow.failure.error_message": "no",
            "dapr.workflow.failure.stack_trace": "at",
        }
        with pytest.raises(InstanceNotFound):
            d.get_workflow("nobody", "dapr")


def test_raw_bytes_are_json(engine):
    with DaprClient() as d:
        d.start_workflow("dapr", "order", input=b'{"a": 1}', send_raw_bytes=True)
        d.raise_workflow_event("ok", "dapr", "e", event_data=b"[1]", send_raw_bytes=True)
        assert [getattr(command, "input", None) or command.data for _, command in engine.transport.sent] == [
            '{"a": 1}',
            "[1]",
        ]
        for bad in (b"{", b"\xff", 7):
            with pytest.raises(PayloadError):
                d.start_workflow("dapr", "order", input=bad, send_raw_bytes=True)


def test_options_that_are_not_built_are_refused_by_name(engine):
    with DaprClient() as d, pytest.raises(NotImplementedError, match="workflow_options"):
        d.start_workflow("dapr", "order", workflow_options={"task_queue": "q"})
