"""What an instance is doing, in words and numbers; the same whether its user code is live or was made again."""

from __future__ import annotations

import json

import pytest

from perdure.core.commands import ResumeWorkflow, SuspendWorkflow
from perdure.core.describe import describe
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
