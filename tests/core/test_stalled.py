"""Parked instances: what parks them, what is kept meanwhile, what makes them go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perdure.core.commands import (
    CompleteActivity,
    RaiseEvent,
    RecoverWorkflow,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.execution import Execution, StallSignal
from perdure.core.instance import STALL_REASONS, Instance
from perdure.core.turn import Live, Request, Turn
from perdure.workflow.app import App
from perdure.workflow.code import Library
from tests.core.engine import T0, Engine, call, kinds, one, second


def deployment(workflow: Callable[..., Any] | None) -> Library:
    app = App()
    if workflow is not None:
        app.add_workflow(workflow, name="wf")
    return Library(app)


def deploy(engine: Engine, workflow: Callable[..., Any] | None) -> None:
    """New code: every instance is loaded anew under it."""
    engine.library = deployment(workflow)
    for instance_id in engine.lives:
        engine.reload(instance_id)


def original(ctx, input):
    a = yield ctx.call_activity("first")
    b = yield ctx.call_activity("second")
    yield ctx.wait_for_external_event("go")
    return [a, b]


def at_the_event(workflow: Callable[..., Any] = original) -> Engine:
    engine = Engine(deployment(workflow))
    engine.start("x", "wf")
    engine.complete("x", 1, "1")
    engine.complete("x", 2, "2")
    return engine


def step_added(ctx, input):
    yield ctx.call_activity("zeroth")
    a = yield ctx.call_activity("first")
    return [a, (yield ctx.call_activity("second"))]


def step_removed(ctx, input):
    yield ctx.call_activity("second")
    yield ctx.wait_for_external_event("go")


def steps_swapped(ctx, input):
    yield ctx.call_activity("second")
    yield ctx.call_activity("first")
    yield ctx.wait_for_external_event("go")


def step_renamed(ctx, input):
    yield ctx.call_activity("first")
    yield ctx.call_activity("2nd")
    yield ctx.wait_for_external_event("go")


def other_kind(ctx, input):
    yield ctx.call_activity("first")
    yield ctx.create_timer(second(1))
    yield ctx.wait_for_external_event("go")


def as_a_child(ctx, input):
    yield ctx.call_activity("first")
    yield ctx.call_child_workflow("second")


def returns_early(ctx, input):
    return (yield ctx.call_activity("first"))


def fails_early(ctx, input):
    yield ctx.call_activity("first")
    raise ValueError("early")


def waits_in_between(ctx, input):
    yield ctx.call_activity("first")
    yield ctx.wait_for_external_event("never")
    yield ctx.call_activity("second")


def both_at_once(ctx, input):
    a, b = ctx.call_activity("first"), ctx.call_activity("second")
    yield a
    yield b


def status_in_between(ctx, input):
    yield ctx.call_activity("first")
    ctx.set_custom_status("new")
    yield ctx.call_activity("second")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (step_added, ["activity 'first' after event 1 at event 2", "activity 'zeroth' after event 1"]),
        (step_removed, ["activity 'first' after event 1", "activity 'second' after event 1"]),
        (steps_swapped, ["activity 'first'", "activity 'second'"]),
        (step_renamed, ["activity 'second' after event 3 at event 4", "activity '2nd' after event 3"]),
        (other_kind, ["activity 'second'", "timer after event 3"]),
        (as_a_child, ["activity 'second'", "child 'second x:0002'"]),
        (returns_early, ["activity 'second'", "it returned (function at "]),
        (fails_early, ["activity 'second'", "it raised ValueError: early (File "]),
        (waits_in_between, ["activity 'second'", "it asked for nothing"]),
        (both_at_once, ["activity 'second' after event 3", "activity 'second' after event 1"]),
        (status_in_between, ["activity 'second'", "custom status after event 3"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_code_that_departs_from_history_is_parked_with_a_readable_difference(
    changed: Callable[..., Any], said: list[str]
):
    engine = at_the_event()
    deploy(engine, changed)
    events = engine.raised("x", "go")
    stalled = events[0]
    assert kinds(events) == ["WorkflowStalled", "EventRaised"], "the event is kept all the same"
    assert stalled.reason == "diverged"
    for words in said:
        assert words in stalled.detail
    if changed not in (returns_early, fails_early):
        assert f"{__file__}:" in stalled.detail, "the source line is told"
    assert engine.instance("x").status == "STALLED"


@pytest.mark.parametrize("changed", [step_added, steps_swapped, step_renamed, returns_early])
def test_a_fixed_deployment_carries_a_diverged_instance_on(changed: Callable[..., Any]):
    engine = at_the_event()
    deploy(engine, changed)
    engine.raised("x", "go")
    deploy(engine, original)
    recovered, completed = engine.tell("x", RecoverWorkflow(engine.run_of("x"), "fixed"))
    assert (kinds([recovered]), recovered.fingerprint) == (["WorkflowRecovered"], "fixed")
    assert completed.output == "[1,2]"


def test_a_step_added_behind_what_history_has_is_live():
    def longer(ctx, input):
        a = yield ctx.call_activity("first")
        b = yield ctx.call_activity("second")
        yield ctx.wait_for_external_event("go")
        return [a, b, (yield ctx.call_activity("third"))]

    engine = at_the_event()
    deploy(engine, longer)
    assert kinds(engine.raised("x", "go")) == ["EventRaised", "ActivityScheduled"]
    engine.reload("x")
    assert kinds(engine.complete("x", 3, "3")) == ["ActivityCompleted", "WorkflowCompleted"]
    assert engine.instance("x").output == "[1,2,3]"


def test_a_step_added_beside_the_last_one_is_asked_for_now_and_replays():
    """The prefix is reproduced; what goes beyond it is live, with the cause it would have had."""

    def beside(ctx, input):
        a = yield ctx.call_activity("first")
        more = [ctx.call_activity("second"), ctx.call_activity("third")]
        b = yield more[0]
        return [a, b, (yield more[1])]

    engine = Engine(deployment(original))
    engine.start("x", "wf")
    engine.complete("x", 1, "1")
    deploy(engine, beside)
    events = engine.complete("x", 2, "2")
    assert kinds(events) == ["ActivityCompleted", "ActivityScheduled"]
    assert (events[1].name, events[1].cause) == ("third", 3)
    engine.reload("x")
    engine.complete("x", 3, "3")
    assert engine.instance("x").output == "[1,2,3]"


def test_inputs_and_due_times_may_change_with_a_deployment():
    def changed(ctx, input):
        a = yield ctx.call_activity("first", input="new")
        b = yield ctx.call_activity("second", input="new", timeout=second(9))
        yield ctx.wait_for_external_event("go")
        return [a, b]

    engine = at_the_event()
    deploy(engine, changed)
    assert kinds(engine.raised("x", "go")) == ["EventRaised", "WorkflowCompleted"]


def test_code_that_exits_in_replay_is_parked_for_that_and_not_for_the_difference():
    def exits_early(ctx, input):
        yield ctx.call_activity("first")
        ctx.set_custom_status("before the exit")
        raise SystemExit("in replay")

    engine = at_the_event()
    deploy(engine, exits_early)
    stalled = engine.raised("x", "go")[0]
    assert (stalled.reason, "in replay" in stalled.detail) == ("base exception", True)
    deploy(engine, original)
    assert kinds(engine.raised("x", "other")) == ["WorkflowRecovered", "EventRaised", "WorkflowCompleted"]


def test_a_workflow_missing_from_a_deployment_parks_its_instances_until_it_is_back():
    engine = at_the_event()
    deploy(engine, None)
    events = engine.raised("x", "other")
    assert kinds(events) == ["WorkflowStalled", "EventRaised"]
    assert (events[0].reason, events[0].fingerprint) == ("unregistered", "")
    assert "'wf'" in events[0].detail
    deploy(engine, original)
    assert kinds(engine.raised("x", "go")) == ["WorkflowRecovered", "EventRaised", "WorkflowCompleted"]


def test_any_command_under_another_fingerprint_tries_again_and_the_same_one_does_not():
    engine = at_the_event()
    deploy(engine, step_renamed)
    engine.raised("x", "a")
    assert kinds(engine.raised("x", "b")) == ["EventRaised"]
    deploy(engine, step_removed)
    assert kinds(engine.raised("x", "c")) == ["WorkflowRecovered", "WorkflowStalled", "EventRaised"]
    deploy(engine, original)
    assert kinds(engine.raised("x", "go")) == ["WorkflowRecovered", "EventRaised", "WorkflowCompleted"]


def test_a_command_that_is_refused_tries_again_as_well_and_what_waited_is_told():
    engine = Engine(deployment(original))
    engine.start("x", "wf")
    deploy(engine, None)
    assert kinds(engine.complete("x", 1, "1")) == ["ActivityCompleted", "WorkflowStalled"]
    deploy(engine, original)
    assert kinds(engine.complete("x", 7, "7")) == ["WorkflowRecovered", "ActivityScheduled"]
    engine.complete("x", 2, "2")
    assert kinds(engine.raised("x", "go")) == ["EventRaised", "WorkflowCompleted"]


def fragile(ctx, input):
    from tests.core import test_stalled

    yield ctx.call_activity("first")
    if test_stalled.BROKEN:
        raise SystemExit("broken")
    got = yield ctx.wait_for_external_event("go")
    return got


BROKEN = False


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    from tests.core import test_stalled

    monkeypatch.setattr(test_stalled, "BROKEN", True)
    return lambda value: monkeypatch.setattr(test_stalled, "BROKEN", value)


@pytest.mark.parametrize("evicted", [False, True])
def test_facts_are_kept_while_parked_and_told_in_order_by_a_resume(broken: Callable[[bool], None], evicted: bool):
    engine = Engine(deployment(fragile))
    engine.start("x", "wf")
    _, stalled = engine.complete("x", 1, "1")
    assert (stalled.reason, stalled.handled_to) == ("base exception", 1)
    assert "SystemExit(broken)" in stalled.detail
    assert f"(at {__file__}:" in stalled.detail
    engine.raised("x", "go", "7")
    if evicted:
        engine.reload("x")
    broken(False)
    resumed = engine.tell("x", ResumeWorkflow("r", requested_by="ann"))
    assert kinds(resumed) == ["WorkflowResumed", "WorkflowRecovered", "WorkflowCompleted"]
    assert engine.instance("x").output == "7"


def test_a_resume_that_does_not_help_parks_again():
    engine = Engine(deployment(exits))
    engine.start("x", "wf")
    for number in range(3):
        events = engine.tell("x", ResumeWorkflow(f"r{number}"))
        assert kinds(events) == ["WorkflowResumed", "WorkflowRecovered", "WorkflowStalled"]
    assert engine.instance("x").status == "STALLED"


def exits(ctx, input):
    raise SystemExit
    yield


@pytest.mark.parametrize("split", [False, True])
def test_a_stall_and_a_resume_in_one_batch_are_what_they_are_in_two(split: bool):
    engine = Engine(deployment(exits))
    start, resume = StartWorkflow("wf", command_id="c"), ResumeWorkflow("r")
    batches = [[start], [resume]] if split else [[start, resume]]
    events = [event for batch in batches for event in engine.tell("x", *batch)]
    assert kinds(events) == [
        "WorkflowStarted",
        "WorkflowStalled",
        "WorkflowResumed",
        "WorkflowRecovered",
        "WorkflowStalled",
    ]
    assert {event.reason for event in events if hasattr(event, "reason")} == {"base exception"}


def test_a_turn_that_needs_history_stops_and_leaves_the_rest_unanswered():
    live = Live(Instance("x"))
    requests = [Request(StartWorkflow("wf", command_id="c"), "0.0.1"), Request(ResumeWorkflow("r"), "0.0.2")]
    turn = Turn(live, requests, T0, deployment(exits), call)
    turn.run()
    assert live.needs_history
    assert (turn.position, len(turn.answers)) == (1, 1)


def test_a_parked_instance_can_be_suspended_terminated_and_recovered_while_suspended(broken: Callable[[bool], None]):
    engine = Engine(deployment(fragile))
    engine.start("x", "wf")
    engine.complete("x", 1, "1")
    engine.raised("x", "go", "7")
    engine.tell("x", SuspendWorkflow("s"))
    assert engine.instance("x").status == "STALLED"
    broken(False)
    assert kinds(engine.tell("x", RecoverWorkflow(engine.run_of("x"), "f"))) == ["WorkflowRecovered"]
    assert engine.instance("x").status == "SUSPENDED"
    engine.reload("x")
    assert kinds(engine.tell("x", ResumeWorkflow("r"))) == ["WorkflowResumed", "WorkflowCompleted"]
    engine.start("x", "wf", command_id="second")
    broken(True)
    engine.complete("x", 1, "1")
    assert kinds(engine.tell("x", TerminateWorkflow())) == ["WorkflowTerminated"]


def test_a_runner_parks_with_its_own_reason():
    def runner(function: Callable[[Any], Any], argument: Any) -> Any:
        raise StallSignal("turn deadline", "2 s")

    engine = Engine(deployment(original))
    engine.runner = runner
    _, stalled = engine.start("x", "wf")
    assert (stalled.reason, stalled.detail.startswith("2 s")) == ("turn deadline", True)
    assert stalled.reason in STALL_REASONS
    assert engine.sent("x") == [], "nothing that was asked for in that resume counts"
    engine.runner = call
    assert kinds(engine.tell("x", ResumeWorkflow("r")))[-1] == "ActivityScheduled"


def test_a_turn_whose_thread_never_comes_back_is_parked_in_the_middle(monkeypatch: pytest.MonkeyPatch):
    engine = Engine(deployment(original))
    engine.start("x", "wf")
    live, run = engine.live("x"), engine.run_of("x")
    execution = live.execution

    class Abandoned(BaseException):
        """Stands for a thread that never comes back."""

    def never_returns(self: Any, fact: Any) -> Any:
        raise Abandoned

    turn = Turn(live, [Request(CompleteActivity(run, 0, 1, 1, "1"), "0.0.8")], T0, engine.library, call)
    with monkeypatch.context() as patch, pytest.raises(Abandoned):
        patch.setattr(Execution, "handle", never_returns)
        turn.run()
    turn.park("turn deadline", "stuck at line 7")
    turn.run()
    assert kinds(turn.events) == ["ActivityCompleted", "WorkflowStalled"]
    assert (turn.events[1].reason, turn.events[1].handled_to) == ("turn deadline", 1)
    assert [answer.rejection for answer in turn.answers] == [None]
    assert execution.scheduler.sealed, "whatever the lost thread still does has no effect"
    engine.commit("x", turn)
    assert kinds(engine.raised("x", "go", "7")) == ["EventRaised"]
    assert kinds(engine.tell("x", ResumeWorkflow("r"))) == ["WorkflowResumed", "WorkflowRecovered", "ActivityScheduled"]


def test_parking_the_closing_of_a_run_that_has_ended_leaves_its_end_alone(monkeypatch: pytest.MonkeyPatch):
    engine = Engine(deployment(original))
    engine.start("x", "wf")

    class Abandoned(BaseException):
        """Stands for a thread that never comes back."""

    def never_returns(self: Any) -> None:
        raise Abandoned

    turn = Turn(engine.live("x"), [Request(TerminateWorkflow('"bye"'), "0.0.8")], T0, engine.library, call)
    with monkeypatch.context() as patch, pytest.raises(Abandoned):
        patch.setattr(Execution, "close", never_returns)
        turn.run()
    turn.park("turn deadline", "stuck in finally")
    assert kinds(turn.events) == ["WorkflowTerminated"]
    assert [answer.rejection for answer in turn.answers] == [None]


@pytest.mark.parametrize("command", [RaiseEvent("go"), CompleteActivity("0.0.1", 0, 2, 1, "2")])
def test_in_caution_user_code_is_not_run_at_all(command: Any):
    """The process died whenever this instance was tried: it is parked where its code would run, replay included."""
    engine = Engine(deployment(original))
    engine.start("x", "wf")
    engine.complete("x", 1, "1")
    engine.reload("x")

    def must_not_run(function: Callable[[Any], Any], argument: Any) -> Any:
        raise AssertionError("user code was run")

    turn = Turn(
        engine.live("x"), [Request(command, "0.0.9")], T0, engine.library, must_not_run, park_first="three times"
    )
    turn.run()
    assert kinds(turn.events)[-1] == "WorkflowStalled"
    assert (turn.events[-1].reason, turn.events[-1].detail) == ("crash", "three times")
    assert turn.answers[0].rejection is None


def test_every_reason_that_the_engine_gives_is_known():
    assert {"diverged", "unregistered", "base exception", "resources", "internal", "crash"} <= set(STALL_REASONS)


def test_an_unregistered_workflow_at_the_start_is_a_rejection():
    engine = one()
    engine.start("x", "wf")
    assert engine.reason() == "UnknownWorkflow"
    assert engine.history["x"] == []
