"""Everything that a stranger or a mistake can grow has its bound, and says what to do instead."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from perdure.codec.avro import encode
from perdure.core import decide as deciding
from perdure.core import ending
from perdure.core import scheduler as scheduling
from perdure.core.awaitables import when_all
from perdure.core.commands import TerminateWorkflow
from perdure.core.limits import PAYLOAD_BYTES_MAX
from perdure.workflow.retry import RetryPolicy
from tests.core.engine import kinds, one, second


def test_an_activitys_result_over_the_limit_is_a_named_failure_never_tried_again():
    def wf(ctx, input):
        try:
            policy = RetryPolicy(first_retry_interval=second(1), max_number_of_attempts=9)
            return (yield ctx.call_activity("big", retry_policy=policy))
        except Exception as error:
            return [error.details.error_type, error.details.message]

    engine = one(wf)
    engine.start("x", "wf")
    failed, completed = engine.complete("x", 1, '"' + "x" * PAYLOAD_BYTES_MAX + '"')
    assert (failed.error_type, failed.retry_at_us) == ("PayloadTooLarge", 0)
    assert "pass a reference" in completed.output


@pytest.mark.parametrize("size", [PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX + 1])
@pytest.mark.parametrize("character", ["x", "é", "😀"])
def test_the_limit_counts_encoded_bytes(size: int, character: str):
    def wf(ctx, input):
        return "ok"
        yield

    width = len(character.encode())
    text = '"' + character * ((size - 2) // width) + "x" * ((size - 2) % width) + '"'
    engine = one(wf)
    engine.start("x", "wf", text)
    assert engine.reason() == ("accepted" if size == PAYLOAD_BYTES_MAX else "PayloadTooLarge")


def too_large(ctx: Any, what: str) -> Any:
    big = "x" * PAYLOAD_BYTES_MAX
    if what == "activity":
        return ctx.call_activity("a", input=big)
    if what == "child":
        return ctx.call_child_workflow("wf", input=big)
    if what == "status":
        return ctx.set_custom_status(big)
    return ctx.continue_as_new(big)


@pytest.mark.parametrize("what", ["activity", "child", "status", "continue"])
def test_a_payload_over_the_limit_is_refused_where_user_code_makes_it(what: str):
    def wf(ctx, input):
        too_large(ctx, what)
        yield ctx.create_timer(second(1))

    engine = one(wf)
    assert kinds(engine.start("x", "wf")) == ["WorkflowStarted", "WorkflowFailed"]
    assert engine.instance("x").error_type == "PayloadTooLarge"
    assert "reference" in engine.instance("x").error_message


def test_an_output_over_the_limit_fails_the_run_by_name():
    def wf(ctx, input):
        return "x" * PAYLOAD_BYTES_MAX
        yield

    engine = one(wf)
    engine.start("x", "wf")
    assert engine.instance("x").error_type == "PayloadTooLarge"


def counts(ctx, input):
    total = 0
    while True:
        total += 1
        yield ctx.wait_for_external_event("e")
        yield ctx.call_activity("a", input=total)


def test_a_full_history_takes_no_new_step_and_points_to_continue_as_new(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scheduling, "HISTORY_EVENTS_MAX", 6)
    engine = one(counts)
    engine.start("x", "counts")
    engine.raised("x", "e")
    engine.complete("x", 1)
    engine.reload("x")
    assert kinds(engine.raised("x", "e")) == ["EventRaised", "ActivityScheduled"]
    engine.complete("x", 2)
    assert kinds(engine.raised("x", "e")) == ["EventRaised", "WorkflowFailed"]
    assert engine.instance("x").error_type == "HistoryFull"
    assert "continue_as_new" in engine.instance("x").error_message


def test_the_way_out_of_a_full_history_is_open(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scheduling, "HISTORY_EVENTS_MAX", 3)

    def wf(ctx, input):
        if input == "next":
            return (yield ctx.call_activity("a", input="fresh"))
        yield ctx.wait_for_external_event("e")
        yield ctx.wait_for_external_event("e")
        try:
            yield ctx.call_activity("a")
        except Exception:
            ctx.continue_as_new("next")

    engine = one(wf)
    engine.start("x", "wf")
    engine.raised("x", "e")
    engine.raised("x", "e")
    engine.run()
    assert engine.instance("x").output == '"fresh"'


def test_one_resume_asks_for_a_bounded_number_of_steps(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scheduling, "ACTIONS_PER_TURN_MAX", 10)

    def fan(ctx, input):
        return len((yield when_all([ctx.call_activity("a") for _ in range(input)])))

    for width, status in ((10, "COMPLETED"), (11, "FAILED")):
        engine = one(fan)
        engine.start("x", "fan", str(width))
        engine.run()
        assert engine.instance("x").status == status
    assert "fan out in parts" in engine.instance("x").error_message


@pytest.mark.parametrize("evicted", [False, True])
def test_raised_events_that_nobody_took_are_bounded_and_the_earlier_ones_stay(
    monkeypatch: pytest.MonkeyPatch, evicted: bool
):
    monkeypatch.setattr(deciding, "EVENT_BUFFER_MAX", 3)
    engine = one(counts)
    engine.start("x", "counts")
    for number in range(3):
        engine.raised("x", "other", str(number))
    if evicted:
        engine.reload("x")
    assert engine.raised("x", "other", "4") == []
    assert engine.reason() == "EventBufferFull"
    assert "3" in engine.log[-1].rejection.message
    assert engine.live("x").buffered == 3


def test_children_of_earlier_generations_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ending, "CARRIED_CHILDREN_MAX", 3)

    def kid(ctx, input):
        yield ctx.wait_for_external_event("never")

    def wf(ctx, input):
        ctx.call_child_workflow("kid")
        yield ctx.create_timer(second(1))
        if input < 4:
            ctx.continue_as_new(input + 1)
        else:
            yield ctx.wait_for_external_event("never")

    engine = one(wf, kid)
    engine.start("x", "wf", "0")
    engine.run()
    assert [child.child_id for child in engine.instance("x").carried_children] == ["x:1:0001", "x:2:0001", "x:3:0001"]
    engine.tell("x", TerminateWorkflow())
    engine.run()
    children = ("x:0001", "x:1:0001", "x:2:0001", "x:3:0001", "x:4:0001")
    statuses = [engine.instance(child).status for child in children]
    assert statuses == ["RUNNING", "TERMINATED", "TERMINATED", "TERMINATED", "TERMINATED"]


def test_termination_reaches_every_open_child_of_a_wide_fan_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ending, "CARRIED_CHILDREN_MAX", 3)

    def wide(ctx, input):
        if input:
            yield when_all([ctx.call_child_workflow("wide") for _ in range(5)])
        yield ctx.wait_for_external_event("never")

    engine = one(wide)
    engine.start("x", "wide", "true")
    engine.tell("x", TerminateWorkflow())
    assert len(engine.sent("x", TerminateWorkflow)) == 5


def test_nesting_ends_where_the_derived_id_gets_too_long():
    def deeper(ctx, input):
        try:
            return (yield ctx.call_child_workflow("deeper"))
        except Exception as error:
            return str(error)

    engine = one(deeper)
    engine.start("x", "deeper")
    engine.run()
    assert engine.instance("x").status == "COMPLETED"
    assert "512 bytes" in engine.instance("x").output
    assert max(len(instance_id) for instance_id in engine.history if engine.history[instance_id]) <= 512


@pytest.mark.parametrize(
    "asks",
    [
        lambda ctx: ctx.create_timer(timedelta.max),
        lambda ctx: ctx.create_timer(datetime.max),
        lambda ctx: ctx.create_timer(timedelta.min),
        lambda ctx: ctx.create_timer(datetime.min),
        lambda ctx: ctx.wait_for_external_event("e", timeout=timedelta.max),
        lambda ctx: ctx.call_activity("a", timeout=timedelta.max),
        lambda ctx: ctx.call_activity("a", retry_policy=RetryPolicy(first_retry_interval=timedelta.max, max_number_of_attempts=2)),
        lambda ctx: ctx.call_activity("a", retry_policy=RetryPolicy(
            first_retry_interval=second(1), max_number_of_attempts=2**31 - 1, backoff_coefficient=1e308,
            max_retry_interval=timedelta.max, retry_timeout=timedelta.max)),
        lambda ctx: ctx.call_activity("\ud800"),
        lambda ctx: ctx.call_child_workflow("\ud800"),
        lambda ctx: ctx.call_child_workflow("wf", instance_id="\ud800"),
        lambda ctx: ctx.call_child_workflow("wf", instance_id="i" * 600),
        lambda ctx: ctx.wait_for_external_event("\ud800", timeout=second(1)),
        lambda ctx: ctx.call_activity("a", input="\ud800"),
        lambda ctx: ctx.set_custom_status("\ud800"),
    ],
)  # fmt: skip
def test_whatever_user_code_asks_for_can_be_recorded_or_is_refused_where_it_asks(asks: Any):
    def wf(ctx, input):
        asks(ctx)
        yield ctx.wait_for_external_event("never")

    engine = one(wf, codec=False)
    events = engine.start("x", "wf")
    for event in events:
        encode(event)
    for effect in engine.sent("x"):
        encode(effect[1] if isinstance(effect, tuple) else effect)
    if 1 in engine.instance("x").open and hasattr(engine.instance("x").open[1].asked, "retry"):
        for event in engine.fail("x", 1):
            encode(event)
