import json
from datetime import datetime

import pytest

from perdure.core.replies import InstanceSnapshot
from perdure.workflow.status import WorkflowState, WorkflowStatus


def snapshot(**changed):
    values = {
        "instance_id": "o-1", "run": "r", "generation": 0, "name": "checkout", "status": "RUNNING",
        "created_at_us": 1_700_000_000_000_001, "updated_at_us": 1_700_000_001_000_000,
        "input": '{"a":1}', "output": "", "custom_status": '"half way"',
    }  # fmt: skip
    return InstanceSnapshot(**{**values, **changed})


def test_statuses_have_daprs_numbers():
    names = ["UNKNOWN", "RUNNING", "COMPLETED", "FAILED", "TERMINATED", "PENDING", "SUSPENDED", "STALLED"]
    assert [status.name for status in WorkflowStatus] == names
    assert [status.value for status in WorkflowStatus] == list(range(8))
    assert str(WorkflowStatus.COMPLETED) == "WorkflowStatus.COMPLETED"
    ended = {status.name for status in WorkflowStatus if status.is_terminal}
    assert ended == {"COMPLETED", "FAILED", "TERMINATED"}


def test_a_state_is_what_the_snapshot_says():
    state = WorkflowState.from_snapshot(snapshot())
    assert state.runtime_status is WorkflowStatus.RUNNING
    assert state.created_at == datetime(2023, 11, 14, 22, 13, 20, 1)
    assert state.created_at.tzinfo is None
    assert (state.serialized_input, state.serialized_output) == ('{"a":1}', None)
    assert state.serialized_custom_status == '"half way"'
    assert state.failure_details is None
    assert "failure_details" not in state.to_json()
    assert json.loads(str(state))["runtime_status"] == "RUNNING"


def test_payloads_that_were_not_asked_for_are_absent_but_the_failure_is_told():
    failed = snapshot(status="FAILED", error_type="ValueError", error_message="no", output='"x"')
    state = WorkflowState.from_snapshot(failed, fetch_payloads=False)
    assert (state.serialized_input, state.serialized_output, state.serialized_custom_status) == (None, None, None)
    assert state.to_json()["failure_details"] == {
        "message": "no", "error_type": "ValueError", "stack_trace": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["NEW_ONE", ""])
def test_a_status_of_a_newer_version_is_unknown(name):
    assert WorkflowState.from_snapshot(snapshot(status=name)).runtime_status is WorkflowStatus.UNKNOWN
