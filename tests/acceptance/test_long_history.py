"""A history that grows long is told of in the log, once."""

import pytest
import structlog

import perdure as wf
from perdure import testing
from perdure.client.errors import HistoryIsFull
from perdure.core import refusals
from perdure.roles.orchestrator import lengths

app = wf.App()


@app.workflow
def patient(ctx, count):
    for _ in range(count):
        yield ctx.wait_for_external_event("tick")


def test_a_long_history_is_warned_of_once(monkeypatch):
    monkeypatch.setattr(lengths, "HISTORY_EVENTS_WARN", 5)
    with structlog.testing.capture_logs() as lines, testing.engine(app) as env:
        env.schedule_new_workflow(patient, input=9, instance_id="p")
        for _ in range(8):
            env.raise_workflow_event("p", "tick")
    told = [line for line in lines if "grows long" in line["event"]]
    assert [(line["instance_id"], line["events"], line["log_level"]) for line in told] == [("p", 5, "warning")]


def test_a_heavy_history_is_warned_of_once_and_ends_where_its_bytes_do(monkeypatch):
    monkeypatch.setattr(lengths, "HISTORY_BYTES_WARN", 50)
    monkeypatch.setattr(refusals, "HISTORY_BYTES_MAX", 91)
    with structlog.testing.capture_logs() as lines, testing.engine(app) as env:
        env.schedule_new_workflow(patient, input=99, instance_id="p")
        for _ in range(8):
            env.raise_workflow_event("p", "tick", data="x" * 9)  # eleven bytes, and two of the input
        with pytest.raises(HistoryIsFull, match="continue_as_new"):
            env.raise_workflow_event("p", "tick", data="xx")
        env.raise_workflow_event("p", "tick", data=1)  # the last byte
        env.terminate_workflow("p")
    told = [line for line in lines if "grows long" in line["event"]]
    assert [(line["instance_id"], line["payload_bytes"], line["log_level"]) for line in told] == [("p", 57, "warning")]
