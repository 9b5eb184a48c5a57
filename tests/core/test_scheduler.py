"""The recorder behind ctx: what it hands out once sealed, and when user code is told that it is being replayed."""

from __future__ import annotations

import json

import structlog

from perdure.core.events import WorkflowStarted
from perdure.core.execution import Execution, Parked
from perdure.core.scheduler import Scheduler
from perdure.workflow.app import App
from perdure.workflow.code import Library
from tests.core.engine import T0, kinds, one, second


def test_a_sealed_scheduler_records_nothing_and_its_tasks_never_complete():
    scheduler = Scheduler("x", "0.0.1", 0, "wf", "")
    scheduler.call_activity("before", "", queue="", timeout_us=0, retry=None, decode=None)
    scheduler.seal()
    tasks = [
        scheduler.call_activity("a", "", queue="", timeout_us=0, retry=None, decode=None),
        scheduler.call_child("c", "", child_id="", retry=None, decode=None),
        scheduler.create_timer(1),
        scheduler.wait_event("e", timeout_at_us=1, decode=None),
    ]
    scheduler.set_custom_status('"late"')
    scheduler.continue_as_new("", True)
    assert scheduler.take_actions() == []
    assert (list(scheduler.open), scheduler.waiters, scheduler.continuation) == ([1], {}, None)
    assert not any(task.is_complete for task in tasks)


def test_a_sealed_scheduler_gives_no_buffered_event_away():
    from perdure.core.events import EventRaised

    scheduler = Scheduler("x", "0.0.1", 0, "wf", "")
    scheduler.event_raised(EventRaised("0.0.1", 0, 2, 0, "e", "1"))
    scheduler.seal()
    assert not scheduler.wait_event("e", timeout_at_us=None, decode=None).is_complete
    assert scheduler.buffered == 1


def test_user_code_is_told_that_it_is_replayed_exactly_while_it_is():
    told: list[tuple[str, bool]] = []

    def wf(ctx, input):
        told.append(("start", ctx.is_replaying))
        for name in ("a", "b", "c"):
            yield ctx.wait_for_external_event(name)
            told.append((name, ctx.is_replaying))

    engine = one(wf)
    engine.start("x", "wf")
    engine.raised("x", "a")
    engine.reload("x")
    engine.raised("x", "b")
    engine.raised("x", "c")
    assert told == [
        ("start", False), ("a", False),
        ("start", True), ("a", True), ("b", False), ("c", False),
    ]  # fmt: skip


def test_the_logger_writes_each_line_once_however_often_code_is_replayed():
    def wf(ctx, input):
        ctx.logger.info("started")
        yield ctx.wait_for_external_event("a")
        ctx.logger.info("went on")
        ctx.continue_as_new(None)

    engine = one(wf)
    with structlog.testing.capture_logs() as lines:
        engine.start("x", "wf")
        for _ in range(3):
            engine.reload("x")
            engine.make_live("x")
        engine.reload("x")
        engine.raised("x", "a")
        engine.reload("x")
        engine.run()
    assert [line["event"] for line in lines] == ["started", "went on", "started"]


def test_what_was_asked_for_in_a_resume_that_parked_does_not_count():
    def wf(ctx, input):
        ctx.set_custom_status("seen by nobody")
        ctx.call_activity("asked of nobody")
        raise SystemExit
        yield

    engine = one(wf)
    assert kinds(engine.start("x", "wf")) == ["WorkflowStarted", "WorkflowStalled"]
    assert engine.sent("x") == []
    app = App()
    app.add_workflow(wf)
    started = WorkflowStarted("0.0.1", 0, 1, T0, "wf")
    execution = Execution(Library(app)("wf"), started, "x")
    assert execution.handle(started) == []
    assert isinstance(execution.outcome, Parked)


def test_the_custom_status_of_a_turn_is_the_last_one_and_keeps_its_place():
    def wf(ctx, input):
        ctx.set_custom_status(1)
        ctx.call_activity("a")
        ctx.set_custom_status({"step": 2})
        yield ctx.create_timer(second(1))

    engine = one(wf)
    events = engine.start("x", "wf")
    assert kinds(events) == ["WorkflowStarted", "CustomStatusSet", "ActivityScheduled", "TimerCreated"]
    assert json.loads(engine.instance("x").custom_status) == {"step": 2}


def test_default_child_ids_tell_generations_apart():
    def wf(ctx, input):
        if input == "kid":
            return
        ctx.call_child_workflow("wf", input="kid")
        yield ctx.create_timer(second(1))
        if input is None:
            ctx.continue_as_new("again")

    engine = one(wf)
    engine.start("x", "wf")
    engine.run()
    assert set(engine.history) == {"x", "x:0001", "x:1:0001"}
