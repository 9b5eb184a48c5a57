"""Every rejection, by its name: what asks for it, and that nothing was changed by it."""

from __future__ import annotations

import copy
import typing
from collections.abc import Callable

import pytest

from perdure.core import decide as deciding
from perdure.core.commands import (
    BeginGeneration,
    Command,
    CompleteActivity,
    CompleteChild,
    FailActivity,
    FailChild,
    FireTimer,
    InspectInstance,
    PurgeWorkflow,
    RaiseEvent,
    RecoverWorkflow,
    ReissueSteps,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.decide import DECIDE, REJECTIONS
from perdure.core.limits import (
    COMMAND_ID_BYTES_MAX,
    DERIVED_ID_BYTES_MAX,
    NOTE_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    PAYLOAD_DEPTH_MAX,
    TIME_US_MAX,
)
from tests.core.engine import Engine, one, second, state_of


def mixed(ctx, input):
    """Opens an activity (1), a timer (2), a child (3) and an activity with retries (4), then waits."""
    from perdure.workflow.retry import RetryPolicy

    ctx.call_activity("a")
    ctx.create_timer(second(9))
    ctx.call_child_workflow("mixed", instance_id="kid")
    ctx.call_activity("b", retry_policy=RetryPolicy(first_retry_interval=second(1), max_number_of_attempts=2))
    yield ctx.wait_for_external_event("end")


def running() -> Engine:
    engine = one(mixed)
    engine.start("x", "mixed")
    return engine


def ended() -> Engine:
    engine = running()
    engine.raised("x", "end")
    return engine


def purged() -> Engine:
    engine = ended()
    engine.tell("x", PurgeWorkflow(command_id="purge"))
    return engine


def blank() -> Engine:
    return one(mixed)


def between_attempts() -> Engine:
    engine = running()
    engine.fail("x", 4)
    return engine


TOO_LARGE = '"' + "x" * PAYLOAD_BYTES_MAX + '"'
RUN = ("0.0.1", 0)
TOO_DEEP = "[" * (PAYLOAD_DEPTH_MAX + 1) + "]" * (PAYLOAD_DEPTH_MAX + 1)
LONG_ID = "i" * (COMMAND_ID_BYTES_MAX + 1)
LONG_NOTE = "é" * (NOTE_BYTES_MAX // 2) + "!"

TABLE: list[tuple[str, Callable[[], Engine], str, Command]] = [
    ("UnknownInstance", blank, "x", RaiseEvent("e")),
    ("UnknownInstance", blank, "x", SuspendWorkflow()),
    ("UnknownInstance", blank, "x", ResumeWorkflow()),
    ("UnknownInstance", blank, "x", TerminateWorkflow()),
    ("UnknownInstance", blank, "x", PurgeWorkflow()),
    ("UnknownInstance", blank, "x", CompleteActivity(*RUN, 1, 1)),
    ("UnknownInstance", blank, "x", FireTimer(*RUN, 2, 0, "timer", 0)),
    ("UnknownInstance", blank, "x", RecoverWorkflow("0.0.1", "f")),
    ("UnknownInstance", blank, "x", BeginGeneration("0.0.1", 1)),
    ("UnknownInstance", blank, "x", ReissueSteps("0.0.1")),
    ("UnknownInstance", purged, "x", RaiseEvent("e")),
    ("UnknownInstance", purged, "x", PurgeWorkflow()),
    ("UnknownInstance", purged, "x", CompleteActivity(*RUN, 1, 1)),
    ("AlreadyExists", running, "x", StartWorkflow("mixed", command_id="another")),
    ("AlreadyExists", running, "x", StartWorkflow("mixed")),
    ("IdInUse", ended, "x", StartWorkflow("mixed")),
    ("IdInUse", purged, "x", StartWorkflow("mixed")),
    ("IdInUse", ended, "x", StartWorkflow("mixed", command_id="c")),
    ("IdInUse", purged, "x", StartWorkflow("mixed", command_id="c")),
    ("IdInUse", ended, "x", StartWorkflow("mixed", command_id="c", reply_to="0/t", reuse_id="never")),
    ("IdInUse", purged, "x", StartWorkflow("mixed", command_id="c", reply_to="0/t", reuse_id="never")),
    ("IdInUse", ended, "x", StartWorkflow("mixed", reply_to="0/t")),
    ("IdInUse", ended, "x", StartWorkflow("mixed", reuse_id="ended")),
    ("AlreadyExists", running, "x", StartWorkflow("mixed", command_id="c", reuse_id="ended")),
    ("UnknownWorkflow", blank, "x", StartWorkflow("nobody")),
    ("UnknownWorkflow", ended, "x", StartWorkflow("nobody", command_id="c", reply_to="0/t")),
    ("NotRunning", ended, "x", RaiseEvent("e")),
    ("NotRunning", ended, "x", SuspendWorkflow("c")),
    ("NotRunning", ended, "x", ResumeWorkflow("c")),
    ("NotRunning", ended, "x", TerminateWorkflow(command_id="c")),
    ("NotRunning", ended, "x", CompleteActivity(*RUN, 1, 1)),
    ("NotRunning", ended, "x", FailChild(*RUN, 3, 1, "E")),
    ("NotRunning", ended, "x", FireTimer(*RUN, 2, 0, "timer", 0)),
    ("NotRunning", ended, "x", RecoverWorkflow("0.0.1", "f")),
    ("NotFinished", running, "x", PurgeWorkflow()),
    ("StaleRun", running, "x", CompleteActivity("0.0.0", 0, 1, 1)),
    ("StaleRun", running, "x", FailActivity("0.0.0", 0, 1, 1, "E")),
    ("StaleRun", running, "x", CompleteChild("0.0.0", 0, 3, 1)),
    ("StaleRun", running, "x", FailChild("0.0.0", 0, 3, 1, "E")),
    ("StaleRun", running, "x", FireTimer("0.0.0", 0, 2, 0, "timer", 0)),
    ("StaleRun", running, "x", BeginGeneration("0.0.0", 0)),
    ("StaleRun", running, "x", RecoverWorkflow("0.0.0", "f")),
    ("StaleRun", running, "x", ReissueSteps("0.0.0")),
    ("NotRunning", ended, "x", ReissueSteps("0.0.1")),
    ("StaleGeneration", running, "x", CompleteActivity("0.0.1", 1, 1, 1)),
    ("StaleGeneration", running, "x", CompleteChild("0.0.1", 1, 3, 1)),
    ("StaleGeneration", running, "x", FireTimer("0.0.1", 1, 2, 0, "timer", 0)),
    ("StaleGeneration", running, "x", BeginGeneration("0.0.1", 1)),
    ("TaskNotOpen", running, "x", CompleteActivity(*RUN, 9, 1)),
    ("TaskNotOpen", running, "x", CompleteActivity(*RUN, 2, 1)),
    ("TaskNotOpen", running, "x", CompleteActivity(*RUN, 3, 1)),
    ("TaskNotOpen", running, "x", CompleteChild(*RUN, 1, 1)),
    ("TaskNotOpen", running, "x", FailChild(*RUN, 1, 1, "E")),
    ("TaskNotOpen", running, "x", FireTimer(*RUN, 9, 0, "timer", 0)),
    ("TaskNotOpen", running, "x", FireTimer(*RUN, 1, 0, "timer", 0)),
    ("TaskNotOpen", running, "x", FireTimer(*RUN, 0, 0, "start", 0)),
    ("TaskNotOpen", running, "x", FireTimer(*RUN, 2, 1, "lease", 0)),
    ("TaskNotOpen", running, "x", FireTimer(*RUN, 3, 1, "lease", 0)),
    ("TaskNotOpen", between_attempts, "x", FireTimer(*RUN, 4, 1, "lease", 0)),
    ("StaleAttempt", running, "x", CompleteActivity(*RUN, 1, 2)),
    ("StaleAttempt", running, "x", FailActivity(*RUN, 1, 0, "E")),
    ("StaleAttempt", running, "x", CompleteChild(*RUN, 3, 2)),
    ("StaleAttempt", running, "x", FireTimer(*RUN, 1, 2, "lease", 0)),
    ("StaleAttempt", running, "x", FireTimer(*RUN, 4, 1, "retry", 0)),
    ("StaleAttempt", between_attempts, "x", CompleteActivity(*RUN, 4, 1)),
    ("StaleAttempt", between_attempts, "x", FireTimer(*RUN, 4, 2, "retry", 0)),
    ("NotTheParent", running, "x", TerminateWorkflow(parent_id="p", parent_run="0.0.0")),
    ("NotTheParent", ended, "x", PurgeWorkflow(parent_id="p", parent_run="0.0.0")),
    ("InvalidName", running, "x", RaiseEvent("")),
    ("InvalidName", running, "x", RaiseEvent("é" * 129)),
    ("PayloadTooLarge", blank, "x", StartWorkflow("mixed", TOO_LARGE)),
    ("PayloadTooLarge", running, "x", RaiseEvent("e", TOO_LARGE)),
    ("PayloadTooLarge", running, "x", TerminateWorkflow(TOO_LARGE)),
    ("InvalidPayload", blank, "x", StartWorkflow("mixed", "hello")),
    ("InvalidPayload", blank, "x", StartWorkflow("mixed", "[NaN]")),
    ("InvalidPayload", blank, "x", StartWorkflow("mixed", TOO_DEEP)),
    ("InvalidPayload", running, "x", RaiseEvent("e", "{'a': 1}")),
    ("InvalidPayload", running, "x", RaiseEvent("e", "9" * 5_000)),
    ("InvalidPayload", running, "x", TerminateWorkflow("[1, 2")),
    ("NotStalled", running, "x", RecoverWorkflow("0.0.1", "f")),
    ("InvalidInstanceId", blank, "", StartWorkflow("mixed")),
    ("InvalidInstanceId", blank, "i" * 65, StartWorkflow("mixed")),
    ("InvalidInstanceId", blank, "a b", StartWorkflow("mixed")),
    ("InvalidInstanceId", blank, "é", StartWorkflow("mixed")),
    ("InvalidInstanceId", blank, "p:0001", StartWorkflow("mixed")),
    ("InvalidInstanceId", blank, "i" * (DERIVED_ID_BYTES_MAX + 1), StartWorkflow("mixed", parent_id="p")),
    ("InvalidCommandId", blank, "x", StartWorkflow("mixed", command_id=LONG_ID)),
    ("InvalidCommandId", running, "x", RaiseEvent("e", command_id=LONG_ID)),
    ("InvalidCommandId", running, "x", SuspendWorkflow(LONG_ID)),
    ("InvalidCommandId", running, "x", ResumeWorkflow(LONG_ID)),
    ("InvalidCommandId", running, "x", TerminateWorkflow(command_id=LONG_ID)),
    ("InvalidCommandId", ended, "x", PurgeWorkflow(command_id=LONG_ID)),
    ("InvalidCommand", blank, "x", StartWorkflow("mixed", requested_by=LONG_NOTE)),
    ("InvalidCommand", blank, "x", StartWorkflow("mixed", rerun_of=LONG_NOTE)),
    ("InvalidCommand", blank, "x", StartWorkflow("mixed", start_at_us=TIME_US_MAX + 1)),
    ("InvalidCommand", blank, "x", StartWorkflow("mixed", reuse_id="always")),
    ("InvalidCommand", running, "x", RaiseEvent("e", requested_by=LONG_NOTE)),
    ("InvalidCommand", running, "x", SuspendWorkflow(requested_by=LONG_NOTE)),
    ("InvalidCommand", running, "x", ResumeWorkflow(requested_by=LONG_NOTE)),
    ("InvalidCommand", running, "x", TerminateWorkflow(requested_by=LONG_NOTE)),
    ("InvalidCommand", ended, "x", PurgeWorkflow(requested_by=LONG_NOTE)),
    ("TaskNotOpen", running, "x", FireTimer(*RUN, 1, 1, "bogus", 0)),
]
ELSEWHERE = {
    "EventBufferFull": "test_limits",
    "HistoryFull": "test_full_histories",
    "Internal": "test_hostile_code",
    "TooManyWaiters": "test_inspection",
}


@pytest.mark.parametrize(
    ("reason", "given", "instance_id", "command"),
    TABLE,
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:40],
)
def test_a_command_that_does_not_fit_is_rejected_by_name_and_changes_nothing(
    reason: str, given: Callable[[], Engine], instance_id: str, command: Command
):
    engine = given()
    before, effects = copy.deepcopy(state_of(engine.instance(instance_id))), list(engine.sent(instance_id))
    assert engine.tell(instance_id, command) == []
    assert engine.reason() == reason
    assert len(engine.log[-1].rejection.message) > 10
    assert state_of(engine.instance(instance_id)) == before
    told = {FailChild} if getattr(command, "parent_id", "") and isinstance(command, StartWorkflow) else set()
    assert {type(each[1]) for each in engine.sent(instance_id)[len(effects) :]} == told


def test_every_reason_is_in_the_table_or_tested_elsewhere():
    assert {row[0] for row in TABLE} | ELSEWHERE.keys() == REJECTIONS.keys()


def test_every_command_is_decided_but_the_one_that_only_looks():
    assert set(DECIDE) == set(typing.get_args(Command)) - {InspectInstance}


def test_a_rejection_is_decided_before_user_code_is_made_again():
    engine = running()
    live = engine.reload("x")
    engine.tell("x", CompleteActivity(*RUN, 9, 1))
    assert live.execution is None


def test_decide_changes_nothing_itself():
    engine = running()
    instance = engine.instance("x")
    before = copy.deepcopy(state_of(instance))
    moment = deciding.Moment(1, "0.0.9", lambda _: True)
    for command in (RaiseEvent("e"), TerminateWorkflow(), CompleteActivity(*RUN, 1, 1), FailActivity(*RUN, 4, 1, "E")):
        deciding.decide(instance, command, moment)
        assert state_of(instance) == before
