"""An id is used again, after finishing and after purge, while results, timers and children of the earlier run are in flight."""

from __future__ import annotations

import pytest

from perdure.core.commands import (
    CompleteActivity,
    CompleteChild,
    FailChild,
    FireTimer,
    PurgeWorkflow,
    StartWorkflow,
    TerminateWorkflow,
)
from perdure.core.turn import live_from_row
from tests.core.engine import Engine, kinds, one, second


def busy(ctx, input):
    """Always opens the same three steps, so that only the run tells them apart."""
    from perdure.core.awaitables import when_all

    steps = [ctx.call_activity("work"), ctx.create_timer(second(5)), ctx.call_child_workflow("kid", instance_id="kid")]
    return (yield when_all(steps))


def kid(ctx, input):
    return (yield ctx.wait_for_external_event("done"))


LATE = (
    CompleteActivity("0.0.1", 0, 1, 1, '"old"'),
    FireTimer("0.0.1", 0, 2, 0, "timer", 0),
    CompleteChild("0.0.1", 0, 3, 1, '"old"'),
    FailChild("0.0.1", 0, 3, 1, "E"),
)


@pytest.fixture(params=["in memory", "from its row", "purged", "purged, from its row"])
def reused(request: pytest.FixtureRequest) -> Engine:
    engine = one(busy, kid)
    engine.start("x", "busy")
    engine.tell("x", TerminateWorkflow(recursive=False))
    if "purged" in request.param:
        engine.tell("x", PurgeWorkflow(recursive=False))
    if "row" in request.param:
        engine.lives["x"] = live_from_row(engine.instance("x").row())
    engine.start("x", "busy", command_id="second")
    return engine


@pytest.mark.parametrize("late", LATE)
def test_what_was_meant_for_the_earlier_run_does_not_reach_the_later_one(reused: Engine, late):
    assert reused.run_of("x") != "0.0.1"
    assert reused.tell("x", late) == []
    assert reused.reason() == "StaleRun"
    assert sorted(reused.instance("x").open) == [1, 2, 3]


def test_the_later_run_starts_afresh(reused: Engine):
    instance = reused.instance("x")
    assert (instance.generation, instance.status, instance.output, instance.created_at_us) == (
        0, "RUNNING", "", reused.generation("x")[0].at_us,
    )  # fmt: skip
    assert [event.seq for event in reused.generation("x")] == [1, 2, 3, 4]


def test_the_earlier_runs_timers_were_cancelled(reused: Engine):
    assert {key[1] for key in reused.timers} == {reused.run_of("x")}


def test_a_child_that_the_earlier_run_left_running_fails_the_later_ones_step(reused: Engine):
    reused.run()
    assert reused.instance("kid").status == "RUNNING"
    assert reused.instance("kid").started.parent_run == "0.0.1"
    assert reused.instance("x").status == "FAILED"
    assert "kid" in reused.instance("x").error_message


def test_recursion_from_the_later_run_leaves_the_earlier_ones_child_alone(reused: Engine):
    reused.tell("x", TerminateWorkflow(command_id="t"))
    reused.run()
    assert reused.instance("kid").status == "RUNNING"
    assert "NotTheParent" in {entry.rejection.reason for entry in reused.log if entry.rejection}


def test_a_child_of_the_earlier_run_that_ends_later_tells_nobody(reused: Engine):
    while reused.channels:
        reused.step()
    reused.raised("kid", "done", "1")
    while reused.channels:
        reused.step()
    (rejected,) = [entry for entry in reused.log if isinstance(entry.command, CompleteChild)]
    assert rejected.rejection.reason == "StaleRun"


def test_an_id_is_free_again_only_for_a_start_with_a_command_id(reused: Engine):
    reused.tell("x", TerminateWorkflow())
    reused.tell("x", StartWorkflow("busy"))
    assert reused.reason() == "IdInUse"
    assert kinds(reused.start("x", "busy", command_id="third"))[0] == "WorkflowStarted"


@pytest.mark.parametrize(
    ("means", "outcome"),
    [
        ({"reply_to": "0/t"}, "accepted"),  # today's clients, and those of versions that know no reuse_id
        ({"parent_id": "p"}, "accepted"),
        ({}, "IdInUse"),
        ({"reuse_id": "ended"}, "accepted"),
        ({"reuse_id": "never"}, "IdInUse"),
        ({"reuse_id": "never", "reply_to": "0/t"}, "IdInUse"),
        ({"reuse_id": "never", "parent_id": "p"}, "IdInUse"),
        ({"reuse_id": "Ended"}, "InvalidCommand"),
    ],
)
def test_a_start_says_whether_an_id_that_existed_may_have_another_run(reused: Engine, means, outcome):
    reused.tell("x", TerminateWorkflow())
    events = reused.tell("x", StartWorkflow("busy", command_id="third", **means))
    assert reused.reason() == outcome
    assert kinds(events[:1]) == (["WorkflowStarted"] if outcome == "accepted" else [])


def test_a_start_that_means_to_be_the_first_is_no_refusal_when_it_comes_again(reused: Engine):
    reused.tell("x", TerminateWorkflow())
    for known in ("second", "start x"):
        assert reused.tell("x", StartWorkflow("busy", command_id=known, reuse_id="never")) == []
        assert reused.reason() == "accepted"


def test_times_do_not_run_backwards_from_one_run_to_the_next():
    engine = one(busy, kid)
    engine.start("x", "busy")
    engine.tell("x", TerminateWorkflow())
    engine.now_us -= 10_000_000
    (started, *_) = engine.start("x", "busy", command_id="second")
    assert started.at_us >= engine.history["x"][0].at_us
