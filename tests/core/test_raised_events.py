"""External events: buffered, first in first out per name, case-insensitive, bounded waits."""

from __future__ import annotations

import pytest

from perdure.core.commands import BeginGeneration, SuspendWorkflow
from perdure.core.effects import CancelTimer, SetTimer
from tests.core.engine import SECOND, T0, kinds, one, second


def takes(ctx, input):
    taken = []
    for name in input:
        taken.append((yield ctx.wait_for_external_event(name)))  # noqa: PERF401 - no yield in a comprehension
    return taken


def bounded(ctx, input):
    try:
        first = yield ctx.wait_for_external_event("go", timeout=second(5))
    except TimeoutError as error:
        first = str(error)
    second_ = yield ctx.wait_for_external_event("go")
    return [first, second_]


def test_events_are_first_in_first_out_per_name_whether_or_not_somebody_waits():
    engine = one(takes)
    engine.start("x", "takes", '["a","b","a","a"]')
    for name, data in (("a", "1"), ("a", "2"), ("a", "3"), ("b", "4")):
        engine.raised("x", name, data)
    assert engine.instance("x").output == "[1,4,2,3]"


def test_names_are_case_insensitive_and_recorded_as_given():
    engine = one(takes)
    engine.start("x", "takes", '["Approval","aPPROVAL"]')
    assert engine.raised("x", "approval", "1")[0].name == "approval"
    engine.raised("x", "APPROVAL", "2")
    assert engine.instance("x").output == "[1,2]"


def test_waits_for_one_name_are_answered_in_the_order_they_began():
    def wf(ctx, input):
        from perdure.core.awaitables import when_all

        return (yield when_all([ctx.wait_for_external_event("e"), ctx.wait_for_external_event("E")]))

    engine = one(wf)
    engine.start("x", "wf")
    engine.raised("x", "e", "1")
    engine.reload("x")
    engine.raised("x", "e", "2")
    assert engine.instance("x").output == "[1,2]"


def test_an_event_without_data_is_none():
    engine = one(takes)
    engine.start("x", "takes", '["a"]')
    engine.raised("x", "a")
    assert engine.instance("x").output == "[null]"


def test_a_wait_with_a_timeout_is_a_timer_of_its_own():
    engine = one(bounded)
    engine.start("x", "bounded")
    assert engine.sent("x", SetTimer) == [SetTimer("0.0.1", 0, 1, 0, "timer", T0 + 5 * SECOND)]
    engine.raised("x", "go", "1")
    assert engine.sent("x", CancelTimer) == [CancelTimer("0.0.1", 0, 1, 0, "timer", T0 + 5 * SECOND)]


def test_a_timeout_is_raised_and_a_late_event_stays_buffered():
    engine = one(bounded)
    engine.start("x", "bounded")
    engine.fire("x")
    engine.reload("x")
    engine.raised("x", "go", "7")
    assert engine.instance("x").output == """["no event 'go' came in time",7]"""


@pytest.mark.parametrize("evicted", [False, True])
def test_a_timeout_that_fires_after_its_event_came_is_recorded_and_changes_nothing(evicted: bool):
    from perdure.core.commands import FireTimer

    engine = one(bounded)
    engine.start("x", "bounded")
    engine.raised("x", "go", "1")
    if evicted:
        engine.reload("x")
    assert kinds(engine.tell("x", FireTimer("0.0.1", 0, 1, 0, "timer", T0 + 5 * SECOND))) == ["TimerFired"]
    engine.raised("x", "go", "2")
    assert engine.instance("x").output == "[1,2]"


def test_a_buffered_event_answers_a_bounded_wait_without_a_timer():
    def wf(ctx, input):
        yield ctx.wait_for_external_event("first")
        return (yield ctx.wait_for_external_event("go", timeout=second(5)))

    engine = one(wf)
    engine.start("x", "wf")
    engine.raised("x", "go", "1")
    assert kinds(engine.raised("x", "first")) == ["EventRaised", "WorkflowCompleted"]
    assert engine.sent("x", SetTimer) == []


def test_a_race_of_an_event_and_a_timer_is_settled_by_the_order_of_the_log():
    from perdure.core.awaitables import when_any
    from perdure.core.commands import FireTimer, RaiseEvent

    def wf(ctx, input):
        event, timer = ctx.wait_for_external_event("e"), ctx.create_timer(second(1))
        return (yield when_any([event, timer])) is event

    for first_is_event in (True, False):
        engine = one(wf)
        engine.start("x", "wf")
        both = [RaiseEvent("e"), FireTimer("0.0.1", 0, 1, 0, "timer", T0 + SECOND)]
        engine.tell("x", *(both if first_is_event else reversed(both)))
        assert engine.instance("x").output == str(first_is_event).lower()


def continues(ctx, input):
    if input is None:
        yield ctx.wait_for_external_event("next")
        ctx.continue_as_new("second", save_events=True)
        return None
    if input == "second":
        ctx.continue_as_new("third", save_events=True)
        return None
    return [(yield ctx.wait_for_external_event("e")), (yield ctx.wait_for_external_event("e"))]


@pytest.mark.parametrize("evicted", [False, True])
def test_saved_events_are_carried_in_order_through_generations_that_never_looked_at_them(evicted: bool):
    engine = one(continues)
    engine.start("x", "continues")
    engine.raised("x", "e", "1", "c1")
    engine.raised("x", "e", "2", "c2")
    engine.raised("x", "next")
    for generation in (1, 2):
        if evicted:
            engine.reload("x")
        engine.tell("x", BeginGeneration("0.0.1", generation))
        carried = [event for event in engine.history["x"] if getattr(event, "carried", False)]
        assert [event.data for event in carried[-2:]] == ["1", "2"]
    assert engine.instance("x").output == "[1,2]"


@pytest.mark.parametrize("evicted", [False, True])
def test_an_event_that_comes_before_the_next_generation_begins_is_not_lost(evicted: bool):
    engine = one(continues)
    engine.start("x", "continues")
    engine.raised("x", "next")
    if evicted:
        engine.reload("x")
    assert kinds(engine.raised("x", "e", "1")) == ["EventRaised"]
    engine.raised("x", "e", "2")
    engine.run()
    assert engine.instance("x").output == "[1,2]"


def test_events_of_a_suspended_instance_are_counted_and_kept():
    engine = one(takes)
    engine.start("x", "takes", '["a"]')
    engine.tell("x", SuspendWorkflow())
    engine.raised("x", "b", "1")
    assert engine.live("x").buffered == 1
