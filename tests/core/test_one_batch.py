"""The table of what happens to an event that meets an ending in one batch: the order of the log alone settles it.

Documented in docs/ as it stands here: left to right is the order in the log; what follows is what history has.
"""

from __future__ import annotations

from typing import Any

import pytest

from perdure.core.commands import (
    BeginGeneration,
    Command,
    RaiseEvent,
    ResumeWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.events import EventRaised
from tests.core.engine import Engine, kinds, one


def listens(ctx, input):
    """`end` completes it, `keep` and `drop` continue as new with or without the events that nobody took."""
    from perdure.core.awaitables import when_any

    names = ("end", "keep", "drop", "fail")
    waits = [ctx.wait_for_external_event(name) for name in names]
    winner = yield when_any(waits)
    what = names[waits.index(winner)]
    if what in ("keep", "drop"):
        ctx.continue_as_new(None, save_events=what == "keep")
    if what == "fail":
        raise ValueError("asked to")
    return what


E, END, KEEP, DROP, FAIL = (RaiseEvent(name) for name in ("e", "end", "keep", "drop", "fail"))
STOP, PAUSE, GO = TerminateWorkflow(), SuspendWorkflow(), ResumeWorkflow()
BEGIN = BeginGeneration("0.0.1", 1)

GEN1 = ["WorkflowContinuedAsNew", "WorkflowStarted"]
TABLE: list[tuple[str, list[Command], list[str], list[str]]] = [
    ("event, terminate", [E, STOP], ["EventRaised", "WorkflowTerminated"], []),
    ("terminate, event", [STOP, E], ["WorkflowTerminated"], ["NotRunning"]),
    ("terminate, terminate", [STOP, STOP], ["WorkflowTerminated"], ["NotRunning"]),
    ("event, completion", [E, END], ["EventRaised", "EventRaised", "WorkflowCompleted"], []),
    ("completion, event", [END, E], ["EventRaised", "WorkflowCompleted"], ["NotRunning"]),
    ("completion, terminate", [END, STOP], ["EventRaised", "WorkflowCompleted"], ["NotRunning"]),
    ("terminate, completion", [STOP, END], ["WorkflowTerminated"], ["NotRunning"]),
    ("failure, event", [FAIL, E], ["EventRaised", "WorkflowFailed"], ["NotRunning"]),
    ("event, continue saving", [E, KEEP], ["EventRaised", "EventRaised", *GEN1, "EventRaised"], []),
    ("continue saving, event", [KEEP, E], ["EventRaised", *GEN1, "EventRaised"], []),
    ("event, continue dropping", [E, DROP], ["EventRaised", "EventRaised", *GEN1], []),
    ("continue dropping, event", [DROP, E], ["EventRaised", *GEN1, "EventRaised"], []),
    ("continue, completion of the next", [DROP, END, BEGIN], ["EventRaised", *GEN1, "EventRaised", "WorkflowBegun", "WorkflowCompleted"], []),
    ("continue, terminate", [DROP, STOP], ["EventRaised", *GEN1, "WorkflowTerminated"], []),
    ("continue, terminate, begin", [DROP, STOP, BEGIN], ["EventRaised", *GEN1, "WorkflowTerminated"], ["NotRunning"]),
    ("terminate, continue", [STOP, DROP], ["WorkflowTerminated"], ["NotRunning"]),
    ("suspend, event", [PAUSE, E], ["WorkflowSuspended", "EventRaised"], []),
    ("suspend, completion, resume", [PAUSE, END, GO], ["WorkflowSuspended", "EventRaised", "WorkflowResumed", "WorkflowCompleted"], []),
    ("completion, suspend", [END, PAUSE], ["EventRaised", "WorkflowCompleted"], ["NotRunning"]),
    ("suspend, terminate", [PAUSE, STOP], ["WorkflowSuspended", "WorkflowTerminated"], []),
    ("suspend, two events, resume: told in order", [PAUSE, DROP, END, GO],
     ["WorkflowSuspended", "EventRaised", "EventRaised", "WorkflowResumed", *GEN1, "EventRaised"], []),
    ("continue, suspend, begin", [DROP, PAUSE, BEGIN], ["EventRaised", *GEN1, "WorkflowSuspended", "WorkflowBegun"], []),
    ("continue, suspend, begin, resume, completion", [DROP, PAUSE, BEGIN, GO, END],
     ["EventRaised", *GEN1, "WorkflowSuspended", "WorkflowBegun", "WorkflowResumed", "EventRaised", "WorkflowCompleted"], []),
]  # fmt: skip


def decided(commands: list[Command], split: Any) -> tuple[Engine, list[Any]]:
    engine = one(listens)
    engine.start("x", "listens")
    events: list[Any] = []
    batches = [commands] if split == "one batch" else [[command] for command in commands]
    for batch in batches:
        events += engine.tell("x", *batch)
        if split == "evicted":
            engine.reload("x")
    return engine, events


@pytest.mark.parametrize("split", ["one batch", "a batch each", "evicted"])
@pytest.mark.parametrize(("name", "commands", "events", "rejections"), TABLE, ids=[row[0] for row in TABLE])
def test_the_order_of_the_log_settles_what_happens_first(
    name: str, commands: list[Command], events: list[str], rejections: list[str], split: str
):
    engine, recorded = decided(commands, split)
    assert kinds(recorded) == events
    assert [entry.rejection.reason for entry in engine.log if entry.rejection] == rejections


@pytest.mark.parametrize(("first", "carried"), [([E, KEEP], ["e"]), ([E, DROP], []), ([PAUSE, DROP, E, GO], ["e"])])
def test_what_nobody_was_told_of_comes_along_even_unsaved(first: list[Command], carried: list[str]):
    """save_events is about what user code could have taken; an event behind the one that ended the generation was never offered."""
    _, recorded = decided(first, "one batch")
    assert [event.name for event in recorded if isinstance(event, EventRaised) and event.carried] == carried


def test_one_generation_a_batch_the_next_begins_by_a_command_of_its_own():
    def forever(ctx, input):
        ctx.continue_as_new(input + 1)
        return
        yield

    engine = one(forever)
    events = engine.start("x", "forever", "0")
    assert kinds(events) == ["WorkflowStarted", "WorkflowContinuedAsNew", "WorkflowStarted"]
    assert engine.sent("x") == [("x", BeginGeneration("0.0.1", 1))]
    assert kinds(engine.tell("x", BeginGeneration("0.0.1", 1))) == ["WorkflowBegun", *GEN1]
    assert engine.instance("x").input == "2"


def test_a_timer_of_an_earlier_generation_is_stale_and_was_cancelled():
    from perdure.core.commands import FireTimer
    from perdure.core.effects import CancelTimer
    from tests.core.engine import SECOND, T0, second

    def wf(ctx, input):
        ctx.create_timer(second(9))
        yield ctx.wait_for_external_event("next")
        ctx.continue_as_new(None)

    engine = one(wf)
    engine.start("x", "wf")
    engine.raised("x", "next")
    assert engine.sent("x", CancelTimer) == [CancelTimer("0.0.1", 0, 1, 0, "timer", T0 + 9 * SECOND)]
    engine.tell("x", BeginGeneration("0.0.1", 1))
    engine.tell("x", FireTimer("0.0.1", 0, 1, 0, "timer", T0 + 9 * SECOND))
    assert engine.reason() == "StaleGeneration"
