"""A generation's history has a bound in events and one in bytes; what would pass it is refused by name, the end is not."""

from __future__ import annotations

import pytest

from perdure.core import decide as deciding
from perdure.core import refusals
from perdure.core import scheduler as scheduling
from perdure.core.awaitables import when_all
from perdure.core.commands import (
    CompleteChild,
    FireTimer,
    RaiseEvent,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.limits import NOTE_BYTES_MAX, REASON_CHARS_MAX, TIME_US_MAX, TRACE_CHARS_MAX
from perdure.workflow.retry import RetryPolicy
from tests.core.engine import SECOND, T0, kinds, one, redeliver, second


@pytest.fixture
def events_max(monkeypatch: pytest.MonkeyPatch):
    def at(count: int) -> None:
        monkeypatch.setattr(refusals, "HISTORY_EVENTS_MAX", count)

    return at


@pytest.fixture
def bytes_max(monkeypatch: pytest.MonkeyPatch):
    def at(count: int) -> None:
        monkeypatch.setattr(refusals, "HISTORY_BYTES_MAX", count)
        monkeypatch.setattr(scheduling, "HISTORY_BYTES_MAX", count)

    return at


def listens(ctx, input):
    while True:
        yield ctx.wait_for_external_event("e")


def steps(ctx, input):
    for number in range(input or 9):
        yield ctx.call_activity("a", input="x" * 8)  # ten bytes as JSON
    return number


# -- events --------------------------------------------------------------------------------------------------


def test_a_full_history_takes_no_event_of_a_stranger_but_the_end(events_max):
    events_max(3)
    engine = one(listens)
    engine.start("x", "listens")
    for _ in range(2):
        assert kinds(engine.raised("x", "e")) == ["EventRaised"]
    for command in (RaiseEvent("e"), SuspendWorkflow("c1"), ResumeWorkflow("c2")):
        assert engine.tell("x", command) == []
        assert engine.reason() == "HistoryFull"
        assert "3 events" in engine.log[-1].rejection.message
        assert "continue_as_new" in engine.log[-1].rejection.message
    assert kinds(engine.tell("x", TerminateWorkflow())) == ["WorkflowTerminated"]


def test_who_was_paused_at_the_bound_is_let_go_on(events_max):
    events_max(3)
    engine = one(listens)
    engine.start("x", "listens")
    engine.raised("x", "e")
    engine.tell("x", SuspendWorkflow())
    assert kinds(engine.tell("x", ResumeWorkflow())) == ["WorkflowResumed"]


def test_who_stalls_again_and_again_is_not_tried_without_end(events_max):
    events_max(3)

    def stalls(ctx, input):
        raise SystemExit
        yield

    engine = one(stalls)
    engine.start("x", "stalls")
    for _ in range(2):
        assert kinds(engine.tell("x", ResumeWorkflow())) == ["WorkflowRecovered", "WorkflowStalled"]
    assert engine.tell("x", ResumeWorkflow()) == []
    assert engine.reason() == "HistoryFull"


def test_results_of_open_steps_are_taken_when_the_events_are_full(events_max):
    events_max(2)
    engine = one(steps)
    engine.start("x", "steps", "1")
    assert kinds(engine.complete("x", 1)) == ["ActivityCompleted", "WorkflowCompleted"]


def test_a_full_history_plans_no_further_attempt(events_max):
    events_max(4)

    def retries(ctx, input):
        policy = RetryPolicy(first_retry_interval=second(1), max_number_of_attempts=2**31 - 1)
        yield ctx.call_activity("a", retry_policy=policy)

    engine = one(retries)
    engine.start("x", "retries")
    (failed,) = engine.fail("x", 1)
    assert failed.retry_at_us
    engine.fire("x", "retry")
    failed, ended = engine.fail("x", 1, 2)
    assert (failed.retry_at_us, type(ended).__name__) == (0, "WorkflowFailed")


# -- bytes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evicted", [False, True])
def test_user_code_takes_no_step_beyond_the_bytes_whether_live_or_replayed(bytes_max, evicted: bool):
    bytes_max(41)  # one byte of input, and two steps of ten with results of ten
    engine = one(steps)
    engine.start("x", "steps", "9")
    engine.complete("x", 1, '"xxxxxxxx"')
    if evicted:
        engine.reload("x")
    assert kinds(engine.complete("x", 2, '"xxxxxxx"')) == ["ActivityCompleted", "ActivityScheduled"], (
        "40 are less than 41"
    )
    engine.reload("x")
    (failed, ended) = engine.complete("x", 3, '"xxxxxxxx"')
    assert (failed.error_type, ended.error_type) == ("HistoryFull", "TaskFailedError")


@pytest.mark.parametrize("evicted", [False, True])
def test_a_full_history_refuses_the_step_and_points_to_continue_as_new(bytes_max, evicted: bool):
    bytes_max(41)
    engine = one(steps)
    engine.start("x", "steps", "9")
    engine.complete("x", 1, '"xxxxxxxx"')
    if evicted:
        engine.reload("x")
    assert kinds(engine.complete("x", 2, '"xxxxxxxx"')) == ["ActivityCompleted", "WorkflowFailed"]
    assert engine.instance("x").error_type == "HistoryFull"
    assert "continue_as_new" in engine.instance("x").error_message


def test_a_status_counts_too_and_only_the_last_one_of_a_turn(bytes_max):
    bytes_max(22)

    def status(ctx, input):
        for _ in range(9):
            ctx.set_custom_status("x" * 1_000)
            ctx.set_custom_status("x" * 8)
            yield ctx.wait_for_external_event("e")

    engine = one(status)
    engine.start("x", "status")
    engine.raised("x", "e", "1")
    assert engine.instance("x").history_bytes == 21
    assert kinds(engine.raised("x", "e", "2")) == ["EventRaised", "WorkflowFailed"]


def test_an_event_or_a_result_that_does_not_fit_is_refused_and_the_rest_goes_on(bytes_max):
    def wf(ctx, input):
        both = [ctx.call_activity("a"), ctx.call_child_workflow("steps")]
        event = yield ctx.wait_for_external_event("e")
        for each in both:
            try:
                yield each
            except Exception as error:
                event.append(error.details.error_type)
        return event

    bytes_max(10)
    engine = one(wf, steps)
    engine.start("x", "wf")
    assert engine.raised("x", "e", '"123456789"') == []
    assert engine.reason() == "HistoryFull"
    assert kinds(engine.raised("x", "e", "[1]")) == ["EventRaised"]
    (failed,) = engine.complete("x", 1, "12345678")
    assert (failed.error_type, failed.retry_at_us) == ("HistoryFull", 0)
    place = engine.instance("x")
    (failed, *ended) = engine.tell("x", CompleteChild(place.run, 0, 2, 1, "12345678901"))
    assert failed.error_type == "HistoryFull"
    assert ended[0].output == '[1,"HistoryFull","HistoryFull"]'


def test_what_a_full_history_decides_is_decided_again_in_any_batches(bytes_max):
    bytes_max(60)
    engine = one(steps, listens)
    engine.start("x", "steps", "9")
    engine.run()
    assert engine.instance("x").error_type in ("HistoryFull", "TaskFailedError")
    for seed in range(10):
        again = redeliver(engine.log, engine.library, seed=seed, evict=0.5, batches=True)
        assert again.history == engine.history


# -- raised events -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evicted", [False, True])
@pytest.mark.parametrize("paused", [False, True])
def test_raised_events_that_nobody_took_are_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch, evicted: bool, paused: bool
):
    monkeypatch.setattr(deciding, "EVENT_BUFFER_BYTES_MAX", 20)
    engine = one(listens)
    engine.start("x", "listens")
    if paused:
        engine.tell("x", SuspendWorkflow())
    engine.raised("x", "other", '"' + "é" * 4 + '"')
    engine.raised("x", "other", '"xxxxxxxx"')
    if evicted:
        engine.reload("x")
    assert engine.raised("x", "other", "1") == []
    assert engine.reason() == "EventBufferFull"
    assert "20 bytes" in engine.log[-1].rejection.message
    assert kinds(engine.raised("x", "other", "")) == ["EventRaised"]


def test_what_is_taken_makes_room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deciding, "EVENT_BUFFER_BYTES_MAX", 10)

    def late(ctx, input):
        yield ctx.wait_for_external_event("go")
        yield ctx.wait_for_external_event("e")
        yield ctx.wait_for_external_event("e")

    engine = one(late)
    engine.start("x", "late")
    engine.raised("x", "e", '"xxxxxxxx"')
    engine.raised("x", "go")
    assert engine.live("x").buffered_bytes == 0
    assert kinds(engine.raised("x", "other", '"xxxxxxxx"')) == ["EventRaised"]


# -- open steps ----------------------------------------------------------------------------------------------


def fan(ctx, input):
    what, width = input
    kinds_ = {
        "activity": lambda: ctx.call_activity("a"),
        "timer": lambda: ctx.create_timer(second(9)),
        "child": lambda: ctx.call_child_workflow("steps"),
        "event": lambda: ctx.wait_for_external_event("e"),
    }
    yield when_all([kinds_[what]() for _ in range(width)])


@pytest.mark.parametrize("what", ["activity", "timer", "child", "event"])
def test_steps_that_have_not_ended_are_bounded(monkeypatch: pytest.MonkeyPatch, what: str):
    monkeypatch.setattr(scheduling, "OPEN_STEPS_MAX", 5)
    for width, status in ((5, "RUNNING"), (6, "FAILED")):
        engine = one(fan, steps)
        engine.start("x", "fan", f'["{what}",{width}]')
        assert engine.instance("x").status == status
    assert engine.instance("x").error_type == "TooManyActions"
    assert "wait for some of them" in engine.instance("x").error_message


def test_what_has_ended_makes_room_and_so_does_a_wait_that_was_answered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scheduling, "OPEN_STEPS_MAX", 2)

    def rounds(ctx, input):
        for _ in range(5):
            yield ctx.call_activity("a")
            yield ctx.wait_for_external_event("e", timeout=second(1000))
        return "all"

    engine = one(rounds)
    engine.start("x", "rounds")
    for number in range(5):
        engine.complete("x", 2 * number + 1)
        if number == 2:
            engine.reload("x")
        engine.raised("x", "e")
    assert engine.instance("x").output == '"all"'


def test_children_of_one_generation_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scheduling, "CHILDREN_MAX", 2)

    def kid(ctx, input):
        return 1
        yield

    def brood(ctx, input):
        for _ in range(input):
            yield ctx.call_child_workflow("kid")

    for count, status in ((2, "COMPLETED"), (3, "FAILED")):
        engine = one(brood, kid)
        engine.start("x", "brood", str(count))
        engine.run()
        assert engine.instance("x").status == status
    assert "continue_as_new" in engine.instance("x").error_message


# -- what a stranger says ------------------------------------------------------------------------------------


def test_a_timer_counts_as_due_when_history_says_so_whatever_the_command_says():
    def waits(ctx, input):
        yield ctx.create_timer(second(5))
        yield ctx.call_activity("a")

    engine = one(waits)
    engine.start("x", "waits")
    (fired, _) = engine.tell("x", FireTimer("0.0.1", 0, 1, 0, "timer", (1 << 63) - 1))
    assert (fired.at_us, fired.fire_at_us) == (T0 + 5 * SECOND, T0 + 5 * SECOND)
    (failed, _) = engine.tell("x", FireTimer("0.0.1", 0, 2, 1, "lease", (1 << 63) - 1))
    assert failed.at_us == T0 + 5 * SECOND, "a lease that ends in the far future counts from now"


def test_a_delayed_start_begins_when_it_was_due():
    engine = one(listens)
    engine.start("x", "listens", start_at_us=T0 + SECOND)
    (begun,) = engine.tell("x", FireTimer("0.0.1", 0, 0, 0, "start", (1 << 63) - 1))
    assert begun.at_us == T0 + SECOND


def test_the_next_attempt_is_planned_within_the_calendar():
    def retries(ctx, input):
        policy = RetryPolicy(first_retry_interval=second(1), max_number_of_attempts=9, backoff_coefficient=1e308)
        yield ctx.call_activity("a", retry_policy=policy)

    engine = one(retries)
    engine.start("x", "retries")
    engine.fail("x", 1)
    engine.fire("x", "retry")
    (failed,) = engine.fail("x", 1, 2)
    assert failed.retry_at_us == TIME_US_MAX


def test_notes_and_trace_context_are_taken_up_to_their_bounds():
    engine = one(listens)
    (started,) = engine.start(
        "x", "listens", requested_by="r" * NOTE_BYTES_MAX, rerun_of="o" * NOTE_BYTES_MAX, start_at_us=TIME_US_MAX,
        traceparent="t" * TRACE_CHARS_MAX, tracestate="s" * (TRACE_CHARS_MAX + 1),
    )  # fmt: skip
    assert len(started.requested_by) == len(started.rerun_of) == NOTE_BYTES_MAX
    assert (len(started.traceparent), started.tracestate) == (TRACE_CHARS_MAX, "")


def test_a_refusal_does_not_repeat_all_of_what_a_stranger_said():
    engine = one(listens)
    engine.tell("x", StartWorkflow("n" * 1_000_000))
    assert engine.reason() == "UnknownWorkflow"
    assert len(engine.log[-1].rejection.message) <= REASON_CHARS_MAX
