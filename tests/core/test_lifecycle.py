"""What each lifecycle command does: starting, suspending, resuming, terminating, purging."""

from __future__ import annotations

import pytest

from perdure.core.commands import (
    FireTimer,
    PurgeWorkflow,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.effects import ActivityTask, CancelTimer, SetTimer
from perdure.core.turn import live_from_row
from tests.core.engine import SECOND, T0, Engine, kinds, one, second


def waits(ctx, input):
    a = yield ctx.wait_for_external_event("a")
    b = yield ctx.wait_for_external_event("b")
    return [a, b]


def works(ctx, input):
    return (yield ctx.call_activity("work", input=input))


def sleeps(ctx, input):
    yield ctx.create_timer(second(60))
    return "slept"


def parent(ctx, input):
    return (yield ctx.call_child_workflow("waits", input=input))


def test_a_start_records_who_asked_and_runs_user_code_at_once():
    engine = one(works)
    started, scheduled = engine.start("x", "works", '{"n":1}', requested_by="ann", traceparent="00-aa")
    assert (started.run, started.generation, started.seq, started.at_us) == ("0.0.1", 0, 1, T0)
    assert (started.name, started.input, started.requested_by, started.created_at_us) == ("works", '{"n":1}', "ann", T0)
    assert (scheduled.cause, scheduled.task_id, scheduled.name, scheduled.input) == (1, 1, "work", '{"n":1}')
    assert engine.sent("x") == [
        ActivityTask("0.0.1", 0, 1, 1, "work", "works", '{"n":1}', 0, "", T0, "00-aa")
    ]  # fmt: skip
    assert engine.instance("x").status == "RUNNING"


def test_a_delayed_start_is_pending_until_its_timer_fires():
    engine = one(works)
    assert kinds(engine.start("x", "works", start_at_us=T0 + 5 * SECOND)) == ["WorkflowStarted"]
    assert engine.instance("x").status == "PENDING"
    assert engine.sent("x") == [SetTimer("0.0.1", 0, 0, 0, "start", T0 + 5 * SECOND)]
    begun, scheduled = engine.fire("x", "start")
    assert (type(begun).__name__, begun.at_us) == ("WorkflowBegun", T0 + 5 * SECOND)
    assert scheduled.cause == begun.seq
    assert engine.instance("x").status == "RUNNING"


def test_a_start_time_that_has_passed_is_no_delay():
    engine = one(works)
    assert kinds(engine.start("x", "works", start_at_us=T0)) == ["WorkflowStarted", "ActivityScheduled"]
    assert engine.sent("x", SetTimer) == []


def test_events_raised_before_a_delayed_start_wait_for_it():
    engine = one(waits)
    engine.start("x", "waits", start_at_us=T0 + SECOND)
    assert kinds(engine.raised("x", "a", "1")) == ["EventRaised"]
    engine.reload("x")
    assert kinds(engine.raised("x", "b", "2")) == ["EventRaised"]
    assert kinds(engine.fire("x", "start")) == ["WorkflowBegun", "WorkflowCompleted"]
    assert engine.instance("x").output == "[1,2]"


def test_a_pending_instance_can_be_terminated_and_its_timer_is_cancelled():
    engine = one(works)
    engine.start("x", "works", start_at_us=T0 + SECOND)
    assert kinds(engine.tell("x", TerminateWorkflow())) == ["WorkflowTerminated"]
    assert engine.sent("x", CancelTimer) == [CancelTimer("0.0.1", 0, 0, 0, "start", T0 + SECOND)]
    engine.tell("x", FireTimer("0.0.1", 0, 0, 0, "start", T0 + SECOND))
    assert engine.reason() == "NotRunning"


def test_a_pending_instance_that_is_suspended_begins_when_resumed():
    engine = one(works)
    engine.start("x", "works", start_at_us=T0 + SECOND)
    engine.tell("x", SuspendWorkflow())
    assert kinds(engine.fire("x", "start")) == ["WorkflowBegun"]
    engine.reload("x")
    assert kinds(engine.tell("x", ResumeWorkflow())) == ["WorkflowResumed", "ActivityScheduled"]


@pytest.mark.parametrize("evicted", [False, True])
def test_a_suspended_instance_records_facts_and_tells_them_in_order_when_resumed(evicted: bool):
    engine = one(waits)
    engine.start("x", "waits")
    (suspended,) = engine.tell("x", SuspendWorkflow("s", requested_by="ann"))
    assert (suspended.handled_to, suspended.command_id, suspended.requested_by) == (1, "s", "ann")
    assert engine.instance("x").status == "SUSPENDED"
    assert kinds(engine.raised("x", "a", "1")) == ["EventRaised"]
    if evicted:
        engine.reload("x")
    assert kinds(engine.raised("x", "b", "2")) == ["EventRaised"]
    assert kinds(engine.tell("x", ResumeWorkflow("r"))) == ["WorkflowResumed", "WorkflowCompleted"]
    assert engine.instance("x").output == "[1,2]"


def test_suspending_again_or_resuming_a_running_instance_is_accepted_and_changes_nothing():
    engine = one(waits)
    engine.start("x", "waits")
    assert engine.tell("x", ResumeWorkflow()) == []
    assert engine.reason() == "accepted"
    engine.tell("x", SuspendWorkflow())
    engine.raised("x", "a", "1")
    assert engine.tell("x", SuspendWorkflow()) == []
    assert engine.reason() == "accepted"
    engine.tell("x", SuspendWorkflow("with an id"))
    assert engine.instance("x").handled_to == 1
    engine.tell("x", ResumeWorkflow())
    assert engine.instance("x").status == "RUNNING"


def test_attempts_go_on_while_suspended():
    engine = one(retries)
    engine.start("x", "retries")
    engine.tell("x", SuspendWorkflow())
    assert kinds(engine.fail("x", 1)) == ["ActivityFailed"]
    assert kinds(engine.fire("x", "retry")) == ["ActivityRetried"]
    assert kinds(engine.complete("x", 1, "7", attempt=2)) == ["ActivityCompleted"]
    assert kinds(engine.tell("x", ResumeWorkflow())) == ["WorkflowResumed", "WorkflowCompleted"]


def retries(ctx, input):
    from perdure.workflow.retry import RetryPolicy

    policy = RetryPolicy(first_retry_interval=second(1), max_number_of_attempts=3)
    return (yield ctx.call_activity("work", retry_policy=policy))


def test_termination_ends_a_suspended_instance_and_says_who_asked():
    engine = one(waits)
    engine.start("x", "waits")
    engine.tell("x", SuspendWorkflow())
    (ended,) = engine.tell("x", TerminateWorkflow('"bye"', command_id="t", requested_by="ann"))
    assert (ended.output, ended.requested_by, ended.command_id) == ('"bye"', "ann", "t")
    assert engine.instance("x").status == "TERMINATED"
    assert engine.instance("x").output == '"bye"'


def test_the_end_cancels_timers_and_pauses_between_attempts():
    engine = one(sleeps, retries)
    engine.start("x", "sleeps")
    engine.start("y", "retries")
    engine.fail("y", 1)
    for instance_id in "xy":
        engine.tell(instance_id, TerminateWorkflow())
        (was,), (cancelled,) = engine.sent(instance_id, SetTimer), engine.sent(instance_id, CancelTimer)
        assert [getattr(was, name) for name in SetTimer.__slots__] == [
            getattr(cancelled, name) for name in CancelTimer.__slots__
        ]
    assert engine.timers == {}


def test_completion_cancels_the_timers_that_lost():
    def races(ctx, input):
        from perdure.core.awaitables import when_any

        yield when_any([ctx.create_timer(second(1)), ctx.create_timer(second(9))])

    engine = one(races)
    engine.start("x", "races")
    assert kinds(engine.fire("x")) == ["TimerFired", "WorkflowCompleted"]
    assert engine.sent("x", CancelTimer) == [CancelTimer("0.0.1", 0, 2, 0, "timer", T0 + 9 * SECOND)]


def test_termination_reaches_children_that_have_not_ended_and_only_then_if_recursive():
    for recursive in (True, False):
        engine = one(parent, waits)
        engine.start("p", "parent")
        engine.run()
        engine.tell("p", TerminateWorkflow(recursive=recursive, requested_by="ann"))
        sent = engine.sent("p", TerminateWorkflow)
        assert len(sent) == int(recursive)
        if recursive:
            assert sent == [
                ("p:0001", TerminateWorkflow(requested_by="ann", parent_id="p", parent_run="0.0.1", parent_task_id=1))
            ]
        engine.run()
        assert engine.instance("p:0001").status == ("TERMINATED" if recursive else "RUNNING")


@pytest.mark.parametrize("command", [TerminateWorkflow, PurgeWorkflow])
def test_recursion_obeys_only_the_step_that_started_the_child(command: type):
    for wrong in ({"parent_id": "q"}, {"parent_run": "0.0.9"}, {"parent_generation": 1}, {"parent_task_id": 2}):
        engine = one(parent, waits)
        engine.start("p", "parent")
        engine.run()
        link = {"parent_id": "p", "parent_run": "0.0.1", "parent_generation": 0, "parent_task_id": 1}
        assert engine.tell("p:0001", command(**{**link, **wrong})) == []
        assert engine.reason() == "NotTheParent"


def test_purge_forgets_a_finished_instance_and_its_children():
    engine = one(parent, waits)
    engine.start("p", "parent", '{"secret":1}')
    engine.run()
    engine.tell("p", TerminateWorkflow())
    engine.run()
    (purged,) = engine.tell("p", PurgeWorkflow(command_id="gone", requested_by="ann"))
    assert (purged.command_id, purged.requested_by) == ("gone", "ann")
    engine.run()
    for instance_id in ("p", "p:0001"):
        instance = engine.instance(instance_id)
        assert (instance.status, instance.exists) == ("PURGED", False)
        row = instance.row()
        assert (row.input, row.output, row.custom_status, row.error_message, row.children) == ("", "", "", "", [])
    engine.tell("p", PurgeWorkflow())
    assert engine.reason() == "UnknownInstance"


def test_a_purge_that_is_not_recursive_leaves_the_children():
    engine = one(parent, waits)
    engine.start("p", "parent")
    engine.run()
    engine.tell("p", TerminateWorkflow())
    engine.run()
    engine.tell("p", PurgeWorkflow(recursive=False))
    engine.run()
    assert engine.instance("p:0001").status == "TERMINATED"


def test_a_child_is_purged_by_its_parent_after_the_parent_was_loaded_from_its_row():
    engine = one(parent, waits)
    engine.start("p", "parent")
    engine.run()
    engine.tell("p", TerminateWorkflow())
    engine.run()
    engine.lives["p"] = live_from_row(engine.instance("p").row())
    engine.lives["p:0001"] = live_from_row(engine.instance("p:0001").row())
    engine.tell("p", PurgeWorkflow())
    engine.run()
    assert engine.instance("p:0001").status == "PURGED"


def test_a_row_gives_back_what_a_client_is_told():
    engine = one(parent, waits)
    engine.start("p", "parent", "5")
    engine.run()
    engine.raised("p:0001", "a", "1")
    engine.raised("p:0001", "b", "2")
    engine.run()
    for instance_id in ("p", "p:0001"):
        instance = engine.instance(instance_id)
        again = live_from_row(instance.row()).instance
        assert instance.status == "COMPLETED"
        assert again.snapshot(3) == instance.snapshot(3)
        assert again.row() == instance.row()


def test_a_recorded_rerun_and_trace_survive_continue_as_new():
    def again(ctx, input):
        ctx.continue_as_new(None)
        return
        yield

    engine = one(again)
    events = engine.start("x", "again", rerun_of="w", traceparent="00-bb", requested_by="ann")
    following = events[2]
    assert (following.generation, following.rerun_of, following.traceparent) == (1, "w", "00-bb")
    assert (following.requested_by, following.command_id, following.created_at_us) == ("ann", "start x", T0)


def test_an_engine_knows_an_id_only_after_its_start():
    engine = Engine(lambda _name: None)
    engine.tell("x", StartWorkflow("nobody"))
    assert engine.reason() == "UnknownWorkflow"
    assert engine.instance("x").exists is False


def test_events_are_never_before_the_one_in_front_of_them_whatever_the_owners_clock_says():
    def reads(ctx, input):
        times = []
        for name in "ab":
            yield ctx.wait_for_external_event(name)
            times.append(str(ctx.current_utc_datetime))
        return times[0] <= times[1]

    engine = one(reads)
    engine.start("x", "reads")
    engine.raised("x", "a")
    engine.now_us -= 5 * SECOND
    engine.raised("x", "b")
    assert [event.at_us for event in engine.history["x"]] == [T0] * 4
    assert engine.instance("x").output == "true"


def test_a_purge_that_names_a_run_is_obeyed_by_that_run_alone():
    engine = one(waits)
    engine.start("p", "waits")
    first = engine.run_of("p")
    engine.tell("p", TerminateWorkflow())
    engine.start("p", "waits", command_id="again")
    second_run = engine.run_of("p")
    for _ in ("while it is active", "and when it has ended"):
        assert engine.tell("p", PurgeWorkflow(command_id=f"retention/{first}", run=first)) == []
        assert engine.reason() == "StaleRun"
        engine.tell("p", TerminateWorkflow())
    (purged,) = engine.tell("p", PurgeWorkflow(run=second_run))
    assert purged.run == second_run


def test_a_purge_that_names_a_run_is_refused_before_its_end_and_where_nothing_is_known():
    engine = one(waits)
    engine.start("p", "waits")
    engine.tell("p", PurgeWorkflow(run=engine.run_of("p")))
    assert engine.reason() == "NotFinished"
    engine.tell("q", PurgeWorkflow(run="0.0.7"))
    assert engine.reason() == "UnknownInstance"


@pytest.mark.parametrize("loaded", [False, True])
def test_a_tombstone_repeats_the_first_answer_and_refuses_what_names_another_run(loaded: bool):
    engine = one(waits)
    engine.start("p", "waits")
    run = engine.run_of("p")
    engine.tell("p", TerminateWorkflow())
    mine = PurgeWorkflow(command_id="mine", run=run)
    engine.tell("p", mine)
    if loaded:
        engine.lives["p"] = live_from_row(engine.instance("p").row())
    assert engine.tell("p", mine) == []
    assert engine.answer() is None
    engine.tell("p", PurgeWorkflow(command_id="other", run="0.0.99"))
    assert engine.reason() == "StaleRun"
    engine.tell("p", PurgeWorkflow(command_id="late", run=run))
    assert engine.reason() == "UnknownInstance"
