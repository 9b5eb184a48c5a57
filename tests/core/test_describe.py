"""What an instance is doing, in words and numbers; the same whether its user code is live or was made again."""

from __future__ import annotations

import json

import pytest

from perdure.codec.avro import encode
from perdure.core import describe as describing
from perdure.core.awaitables import when_all
from perdure.core.commands import ResumeWorkflow, SuspendWorkflow
from perdure.core.describe import describe
from perdure.core.limits import (
    DERIVED_ID_BYTES_MAX,
    DESCRIBED_MAX,
    EVENT_BUFFER_MAX,
    FAILURE_TEXT_CHARS_MAX,
    NAME_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    RECORD_BYTES_MAX,
)
from perdure.core.replies import Reply
from perdure.workflow.retry import RetryPolicy
from tests.core.engine import SECOND, T0, Engine, one, second


def busy(ctx, input):
    ctx.call_activity("a", retry_policy=RetryPolicy(first_retry_interval=second(5), max_number_of_attempts=3))
    ctx.create_timer(second(9))
    ctx.call_child_workflow("kid")
    yield ctx.wait_for_external_event("Go", timeout=second(7))
    yield ctx.wait_for_external_event("later")


def exits(ctx, input):
    raise SystemExit("no")
    yield


def described(engine: Engine) -> dict:
    return json.loads(json.dumps(describe(engine.live("x"))))


@pytest.mark.parametrize("evicted", [False, True])
def test_it_tells_what_is_awaited_since_when_and_what_is_buffered(evicted: bool):
    engine = one(busy)
    engine.start("x", "busy")
    engine.now_us += SECOND
    engine.fail("x", 1, error="OSError")
    engine.raised("x", "Other", "1")
    engine.raised("x", "OTHER", "2")
    if evicted:
        engine.reload("x")
        engine.make_live("x")
    told = described(engine)
    assert (told["status"], told["suspended"], told["lastFailure"]) == ("RUNNING", False, "OSError: no")
    activity, timer, child, timeout, event = told["awaits"]
    assert (activity["kind"], activity["name"], activity["attempt"], activity["sinceUs"]) == ("activity", "a", 1, T0)
    assert activity["retryAtUs"] == T0 + 6 * SECOND
    assert (timer["kind"], timer["fireAtUs"]) == ("timer", T0 + 9 * SECOND)
    assert (child["kind"], child["childId"]) == ("child", "x:0003")
    assert (timeout["kind"], timeout["timeoutOf"]) == ("timer", "Go")
    assert (event["kind"], event["name"], event["sinceUs"]) == ("event", "Go", T0)
    assert told["bufferedEvents"] == {"other": 2}
    assert f"{__file__}:" in told["at"]


def test_it_tells_facts_that_wait_for_a_resume():
    engine = one(busy)
    engine.start("x", "busy")
    engine.tell("x", SuspendWorkflow())
    engine.raised("x", "Go")
    told = described(engine)
    assert (told["status"], told["suspended"], told["factsWaiting"]) == ("SUSPENDED", True, 1)
    engine.tell("x", ResumeWorkflow())
    assert described(engine)["factsWaiting"] == 0


def test_it_tells_why_an_instance_is_parked():
    engine = one(exits)
    engine.start("x", "exits")
    told = described(engine)
    assert told["status"] == "STALLED"
    assert (told["stalled"]["reason"], told["stalled"]["sinceUs"]) == ("base exception", T0)
    assert "SystemExit(no)" in told["stalled"]["detail"]


def test_of_many_open_steps_the_first_are_listed_and_the_others_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(describing, "DESCRIBED_MAX", 3)

    def wide(ctx, input):
        tasks = [ctx.call_activity("a") for _ in range(input)]
        yield when_all([*tasks, ctx.wait_for_external_event("e")])

    for width, listed, more in ((2, 3, None), (3, 3, 1), (9, 3, 7)):
        engine = one(wide)
        engine.start("x", "wide", str(width))
        told = described(engine)
        assert (len(told["awaits"]), told.get("awaitsMore")) == (listed, more)


def test_the_largest_answer_there_is_fits_a_record():
    """Three payloads, a failure, a description of very many steps and buffered events, all as long as they may be."""

    def largest(ctx, input):
        long_name = "\0" * NAME_BYTES_MAX  # six characters each in JSON
        policy = RetryPolicy(first_retry_interval=second(5), max_number_of_attempts=3)
        for number in range(DESCRIBED_MAX + 1):
            child = f"{number:04}" + "\0" * (DERIVED_ID_BYTES_MAX - 4)
            ctx.call_child_workflow(long_name, instance_id=child, retry_policy=policy)
        yield ctx.wait_for_external_event("e")

    engine = one(largest)
    engine.start("x", "largest", '"' + "x" * (PAYLOAD_BYTES_MAX - 2) + '"')
    for number in range(EVENT_BUFFER_MAX):
        engine.raised("x", f"{number:04}" + "\0" * (NAME_BYTES_MAX - 4))
    told = described(engine)
    assert sum(told["bufferedEvents"].values()) + told["bufferedMore"] == EVENT_BUFFER_MAX
    snapshot = engine.instance("x").snapshot(0, json.dumps(describe(engine.live("x")), ensure_ascii=False))
    snapshot.output = snapshot.custom_status = snapshot.input
    snapshot.error_message = snapshot.stack_trace = "😀" * FAILURE_TEXT_CHARS_MAX
    answer = encode(Reply("c" * 256, "t" * 256, accepted=True, snapshot=snapshot))
    assert len(answer) + 1_000 < RECORD_BYTES_MAX
