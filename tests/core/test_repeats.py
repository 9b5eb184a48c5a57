"""A command that comes again gets the first answer and has no second effect; also after eviction, generations and runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perdure.core.commands import (
    BeginGeneration,
    Command,
    CompleteActivity,
    FireTimer,
    PurgeWorkflow,
    RaiseEvent,
    RecoverWorkflow,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.limits import COMMAND_IDS_REMEMBERED
from perdure.core.turn import live_from_row
from tests.core.engine import Engine, kinds, one, second


def listens(ctx, input):
    first = yield ctx.wait_for_external_event("e")
    if first == "again":
        ctx.continue_as_new(None, save_events=True)
        return None
    return first


def works(ctx, input):
    return (yield ctx.call_activity("work"))


def sleeps(ctx, input):
    yield ctx.create_timer(second(1))
    yield ctx.wait_for_external_event("e")


def exits(ctx, input):
    raise SystemExit(1)
    yield


def started(name: str) -> Engine:
    engine = one(listens, works, sleeps, exits)
    engine.start("x", name)
    return engine


def suspended() -> Engine:
    engine = started("listens")
    engine.tell("x", SuspendWorkflow("first"))
    return engine


def ended() -> Engine:
    engine = started("listens")
    engine.raised("x", "e", "1")
    return engine


def next_generation() -> Engine:
    engine = started("listens")
    engine.raised("x", "e", '"again"')
    return engine


CASES: list[tuple[Callable[[], Engine], Command]] = [
    (lambda: one(listens), StartWorkflow("listens", command_id="c")),
    (lambda: started("listens"), RaiseEvent("other", "1", "c")),
    (lambda: started("listens"), RaiseEvent("e", "1", "c")),
    (lambda: started("listens"), SuspendWorkflow("c")),
    (suspended, SuspendWorkflow("c")),
    (suspended, ResumeWorkflow("c")),
    (lambda: started("listens"), ResumeWorkflow("c")),
    (lambda: started("exits"), ResumeWorkflow("c")),
    (lambda: started("listens"), TerminateWorkflow(command_id="c")),
    (ended, PurgeWorkflow(command_id="c")),
]


@pytest.mark.parametrize("evicted", [False, True])
@pytest.mark.parametrize(("given", "command"), CASES)
def test_a_clients_command_is_accepted_again_without_effect(
    given: Callable[[], Engine], command: Command, evicted: bool
):
    engine = given()
    assert kinds(engine.tell("x", command)) != []
    effects = len(engine.sent("x"))
    for _ in range(2):
        if evicted:
            engine.reload("x")
        assert engine.tell("x", command) == []
        assert engine.reason() == "accepted"
    assert len(engine.sent("x")) == effects


@pytest.mark.parametrize("evicted", [False, True])
def test_an_engines_own_message_that_comes_again_is_rejected(evicted: bool):
    for engine, command in (
        (started("works"), CompleteActivity("0.0.1", 0, 1, 1, "1")),
        (started("sleeps"), FireTimer("0.0.1", 0, 1, 0, "timer", 0)),
    ):
        engine.tell("x", command)
        if evicted:
            engine.reload("x")
        assert engine.tell("x", command) == []
        assert engine.reason() in ("NotRunning", "TaskNotOpen")


def test_a_generation_begins_once():
    engine = next_generation()
    begin = BeginGeneration("0.0.1", 1)
    assert kinds(engine.tell("x", begin)) == ["WorkflowBegun"]
    assert engine.tell("x", begin) == []
    engine.reload("x")
    assert engine.tell("x", begin) == []


def test_a_recovery_that_comes_again_is_rejected_or_one_more_try():
    engine = started("exits")
    recover = RecoverWorkflow("0.0.1", "f")
    assert kinds(engine.tell("x", recover)) == ["WorkflowRecovered", "WorkflowStalled"]


def test_a_repeat_that_was_overtaken_by_its_opposite_does_not_undo_it():
    engine = started("listens")
    for command in (SuspendWorkflow("s1"), SuspendWorkflow("s2"), ResumeWorkflow("r1")):
        engine.tell("x", command)
    for repeat in (SuspendWorkflow("s1"), SuspendWorkflow("s2")):
        assert engine.tell("x", repeat) == []
    assert engine.instance("x").status == "RUNNING"
    engine.tell("x", ResumeWorkflow("r2"))
    engine.tell("x", SuspendWorkflow("s3"))
    assert engine.tell("x", ResumeWorkflow("r2")) == []
    assert engine.instance("x").status == "SUSPENDED"


def test_command_ids_are_carried_over_generations():
    engine = started("listens")
    raised = RaiseEvent("other", "1", "c")
    engine.tell("x", raised)
    engine.raised("x", "e", '"again"')
    engine.tell("x", BeginGeneration("0.0.1", 1))
    assert engine.tell("x", raised) == []
    assert engine.reason() == "accepted"
    assert engine.tell("x", StartWorkflow("listens", command_id="start x")) == []
    assert engine.reason() == "accepted"


@pytest.mark.parametrize("how", ["in memory", "from its row", "purged"])
def test_command_ids_are_carried_over_runs(how: str):
    engine = started("listens")
    terminate = TerminateWorkflow(command_id="t")
    engine.tell("x", terminate)
    if how == "purged":
        engine.tell("x", PurgeWorkflow())
    if how != "in memory":
        engine.lives["x"] = live_from_row(engine.instance("x").row())
    engine.start("x", "listens", command_id="second")
    assert engine.tell("x", terminate) == []
    assert engine.tell("x", StartWorkflow("listens", command_id="start x")) == []
    assert engine.instance("x").status == "RUNNING"
    engine.tell("x", TerminateWorkflow(command_id="t2"))
    assert engine.tell("x", StartWorkflow("listens", command_id="start x")) == [], "the first start began a third run"
    assert engine.instance("x").status == "TERMINATED"


def test_the_latest_thousand_command_ids_are_remembered():
    def counts(ctx, input):
        while True:
            yield ctx.wait_for_external_event("e")

    engine = one(counts)
    engine.start("x", "counts")
    for number in range(COMMAND_IDS_REMEMBERED + 1):
        engine.raised("x", "e", command_id=f"c{number}")
    assert len(engine.instance("x").command_ids) == COMMAND_IDS_REMEMBERED
    assert engine.raised("x", "e", command_id="c1") == []
    assert kinds(engine.raised("x", "e", command_id="c0")) == ["EventRaised"]


def test_without_a_command_id_every_command_counts():
    engine = started("sleeps")
    assert kinds(engine.raised("x", "a")) == ["EventRaised"]
    assert kinds(engine.raised("x", "a")) == ["EventRaised"]


def test_a_childs_start_that_comes_again_starts_nothing_and_fails_no_task():
    def parent(ctx, input):
        return (yield ctx.call_child_workflow("works"))

    engine = one(parent, works)
    engine.start("p", "parent")
    ((child, start),) = engine.sent("p", StartWorkflow)
    assert start.command_id == "p/0.0.1/0/1/1"
    engine.run()
    assert engine.instance("p").status == "COMPLETED"
    assert engine.tell(child, start) == []
    assert engine.reason() == "accepted"
    assert engine.sent(child)[-1][0] == "p"
