"""User code is hostile by accident: what it raises, what it does while it is being closed, what it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from perdure.core import turn as turns
from perdure.core.commands import RaiseEvent, TerminateWorkflow
from tests.core.engine import Engine, kinds, one, second


def outcome(workflow: Callable[..., Any]) -> Any:
    """The last event of a run that gets one fact."""
    engine = one(workflow)
    engine.start("x", workflow.__name__)
    engine.run()
    return engine.history["x"][-1]


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError("c")], ids=repr
)
@pytest.mark.parametrize("later", [False, True])
def test_a_base_exception_parks_the_instance_with_the_line_it_was_raised_at(error: BaseException, later: bool):
    def wf(ctx, input):
        if later:
            yield ctx.create_timer(second(1))
        raise error

    stalled = outcome(wf)
    assert (kinds([stalled]), stalled.reason) == (["WorkflowStalled"], "base exception")
    assert type(error).__name__ in stalled.detail
    assert f"(at {__file__}:" in stalled.detail


def test_endless_recursion_parks_the_instance():
    def deeper(n):
        return deeper(n + 1)

    def wf(ctx, input):
        yield ctx.create_timer(second(1))
        deeper(0)

    stalled = outcome(wf)
    assert (stalled.reason, "RecursionError" in stalled.detail) == ("resources", True)
    assert len(stalled.detail) < 1_000


def test_a_memory_error_parks_the_instance():
    def wf(ctx, input):
        raise MemoryError
        yield

    assert outcome(wf).reason == "resources"


def test_an_exception_fails_the_run_with_type_message_and_the_users_own_frames():
    def helper():
        raise KeyError("missing")

    def wf(ctx, input):
        yield ctx.create_timer(second(1))
        helper()

    failed = outcome(wf)
    assert (failed.error_type, failed.error_message) == ("KeyError", "'missing'")
    assert "in test_an_exception_fails_the_run" in failed.stack_trace
    assert failed.stack_trace.endswith("KeyError: 'missing'")
    assert "perdure/core" not in failed.stack_trace


class NoText(Exception):
    def __str__(self) -> str:
        raise SystemExit("even its text is broken")


class Unfit:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def model_dump(self, mode: str) -> Any:
        raise self.error


def test_an_exception_without_a_text_is_still_a_failure():
    def wf(ctx, input):
        raise NoText
        yield

    assert outcome(wf).error_type == "NoText"


@pytest.mark.parametrize(
    ("value", "error_type"),
    [({1, 2}, "PayloadError"), (object(), "PayloadError"), (float("nan"), "PayloadError"), ("\ud800", "PayloadError"),
     (Unfit(KeyError("k")), "KeyError"), (Unfit(StopIteration()), "StopIteration")],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_a_result_that_cannot_be_recorded_fails_the_run_by_name(value: Any, error_type: str):
    def wf(ctx, input):
        yield ctx.create_timer(second(1))
        return value

    failed = outcome(wf)
    assert (kinds([failed]), failed.error_type) == (["WorkflowFailed"], error_type)


def test_a_result_whose_making_exits_parks_the_instance():
    def wf(ctx, input):
        return Unfit(SystemExit(1))
        yield

    assert outcome(wf).reason == "base exception"


def test_making_the_result_is_under_the_runners_deadline():
    from perdure.core.execution import StallSignal

    class Slow:
        def model_dump(self, mode: str) -> Any:
            inside.append(depth[0])
            return {}

    inside, depth = [], [0]

    def runner(function: Callable[[Any], Any], argument: Any) -> Any:
        depth[0] += 1
        try:
            return function(argument)
        finally:
            depth[0] -= 1

    def wf(ctx, input):
        return Slow()
        yield

    engine = one(wf)
    engine.runner = runner
    engine.start("x", "wf")
    assert inside
    assert all(inside)
    assert issubclass(StallSignal, BaseException)


def test_stop_iteration_is_a_failure_not_a_result():
    def plain(ctx, input):
        return next(iter([]))

    def generator(ctx, input):
        yield ctx.create_timer(second(1))
        next(iter([]))

    for wf in (plain, generator):
        failed = outcome(wf)
        assert (kinds([failed]), failed.error_type) == (["WorkflowFailed"], "RuntimeError")


def test_lone_surrogates_and_overlong_texts_in_an_error_can_be_recorded():
    def wf(ctx, input):
        raise ValueError("\ud800" + "x" * 100_000)
        yield

    failed = outcome(wf)
    assert failed.error_message.startswith("\\ud800xxx")
    assert len(failed.error_message) <= 16_384
    assert len(failed.stack_trace) <= 16_384


def test_an_input_that_does_not_fit_the_annotation_fails_the_run():
    def wf(ctx, input: int):
        return input
        yield

    engine = one(wf)
    engine.start("x", "wf", '"text"')
    assert engine.instance("x").error_type == "PayloadError"
    engine.start("y", "wf", "{no json", parent_id="p")  # as if a parent had sent it
    assert engine.instance("y").error_type == "PayloadError"


def test_an_unexpected_error_of_the_engines_own_parks_the_instance_and_never_the_partition(
    monkeypatch: pytest.MonkeyPatch,
):
    def wf(ctx, input):
        yield ctx.wait_for_external_event("e")

    engine = one(wf)
    engine.start("x", "wf")
    decide = turns.decide

    def broken(instance: Any, command: Any, moment: Any) -> Any:
        if isinstance(command, RaiseEvent):
            raise ZeroDivisionError("bug")
        return decide(instance, command, moment)

    monkeypatch.setattr(turns, "decide", broken)
    events = engine.tell("x", RaiseEvent("e", command_id="c"), TerminateWorkflow())
    assert kinds(events) == ["WorkflowStalled", "WorkflowTerminated"]
    assert (events[0].reason, events[0].detail) == ("internal", "ZeroDivisionError: bug")
    reasons = [entry.rejection.reason if entry.rejection else "" for entry in engine.log[-2:]]
    assert reasons == ["Internal", ""], "a command without effect is not acknowledged"
    assert engine.raised("y", "e") == []
    assert engine.reason() == "Internal"


def test_an_unexpected_error_behind_a_recorded_fact_does_not_deny_the_fact(monkeypatch: pytest.MonkeyPatch):
    from perdure.core.execution import Execution

    def wf(ctx, input):
        return (yield ctx.wait_for_external_event("e"))

    engine = one(wf)
    engine.start("x", "wf")
    with monkeypatch.context() as patch:
        patch.setattr(Execution, "_settle", lambda self, fact: 1 / 0)
        assert kinds(engine.raised("x", "e", "7")) == ["EventRaised", "WorkflowStalled"]
        assert engine.reason() == "accepted"
    from perdure.core.commands import ResumeWorkflow

    engine.tell("x", ResumeWorkflow("r"))
    assert engine.instance("x").output == "7"


# -- while it is being closed --------------------------------------------------------------------------------


def stubborn(ctx, input):
    """Does in its `finally` everything that could leave a trace."""
    try:
        yield ctx.wait_for_external_event("never")
    finally:
        everything(ctx)
        yield ctx.call_activity("from finally")


def catcher(ctx, input):
    while True:
        try:
            yield ctx.wait_for_external_event("never")
        except BaseException:
            everything(ctx)
            return "caught"


def raiser(ctx, input):
    try:
        yield ctx.wait_for_external_event("never")
    finally:
        raise SystemExit("from finally")


async def awaiting(ctx, input):
    try:
        await ctx.wait_for_external_event("never")
    finally:
        everything(ctx)
        await ctx.create_timer(second(1))


def everything(ctx: Any) -> None:
    ctx.call_activity("a")
    ctx.create_timer(second(1))
    ctx.call_child_workflow("stubborn")
    ctx.wait_for_external_event("e", timeout=second(1))
    ctx.set_custom_status("from finally")
    ctx.continue_as_new(None)
    ctx.logger.info("from finally")


CLOSED = [stubborn, catcher, raiser, awaiting]


@pytest.mark.parametrize("workflow", CLOSED, ids=lambda fn: fn.__name__)
def test_closing_by_eviction_leaves_no_trace_and_the_instance_goes_on(workflow: Callable[..., Any]):
    engine = one(*CLOSED)
    engine.start("x", workflow.__name__)
    before = list(engine.history["x"])
    for _ in range(2):
        engine.reload("x")
        assert kinds(engine.raised("x", "other")) == ["EventRaised"]
    assert engine.history["x"][: len(before)] == before
    assert engine.sent("x") == []
    assert engine.instance("x").status == "RUNNING"
    engine.close()


@pytest.mark.parametrize("workflow", CLOSED, ids=lambda fn: fn.__name__)
def test_closing_by_termination_leaves_no_trace_and_is_no_failure(workflow: Callable[..., Any]):
    engine = one(*CLOSED)
    engine.start("x", workflow.__name__)
    assert kinds(engine.tell("x", TerminateWorkflow('"bye"'))) == ["WorkflowTerminated"]
    assert engine.sent("x") == []
    assert engine.instance("x").output == '"bye"'
    assert engine.instance("x").custom_status == ""


def test_the_end_of_a_run_closes_what_user_code_kept_to_itself():
    closed = []

    def helper(ctx):
        try:
            yield ctx.create_timer(second(1))
        finally:
            closed.append(True)

    def wf(ctx, input):
        yield from helper(ctx)

    engine: Engine = one(wf)
    engine.start("x", "wf")
    engine.tell("x", TerminateWorkflow())
    assert closed == [True]


def test_steps_asked_for_beside_the_end_are_dropped_and_the_custom_status_stays():
    def wf(ctx, input):
        yield ctx.create_timer(second(1))
        ctx.call_activity("dropped")
        ctx.set_custom_status("old")
        ctx.set_custom_status("last words")
        if input == "fail":
            raise ValueError
        if input == "continue":
            ctx.continue_as_new("stop")

    for way in ('"return"', '"fail"', '"continue"'):
        engine = one(wf)
        engine.start("x", "wf", way)
        events = engine.fire("x")
        assert kinds(events)[:2] == ["TimerFired", "CustomStatusSet"]
        assert events[1].value == '"last words"'
        assert "ActivityScheduled" not in kinds(events)


def test_continue_as_new_takes_effect_only_when_the_orchestrator_returns():
    def wf(ctx, input):
        ctx.continue_as_new("next")
        yield ctx.create_timer(second(1))
        return "ignored"

    engine = one(wf)
    assert kinds(engine.start("x", "wf")) == ["WorkflowStarted", "TimerCreated"]
    assert kinds(engine.fire("x"))[-2:] == ["WorkflowContinuedAsNew", "WorkflowStarted"]


def test_an_orchestrator_that_fails_after_continue_as_new_has_failed():
    def wf(ctx, input):
        ctx.continue_as_new("next")
        raise ValueError("no")
        yield

    assert kinds([outcome(wf)]) == ["WorkflowFailed"]
