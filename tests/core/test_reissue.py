"""After a log was lost, everything that was on its way is asked for again, and nothing happens twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perdure.core.commands import (
    CompleteChild,
    FailChild,
    FireTimer,
    PurgeWorkflow,
    ReissueSteps,
    StartWorkflow,
    TerminateWorkflow,
)
from perdure.core.effects import ActivityTask, SetTimer
from perdure.core.events import ChildScheduled, TimerCreated, WorkflowCompleted
from perdure.core.turn import Live
from tests.core.engine import Engine, generations, kinds, one
from tests.core.programs import LIBRARY, Scenario, oracle, play, scenarios
from tests.core.test_properties import ENDED, LIFECYCLE, budget
from tests.core.test_repeats import next_generation, started, works


def lose_and_ask_again(engine: Engine, *, ask: bool = True) -> None:
    """All messages and timers are gone; histories are not."""
    engine.channels.clear()
    engine.timers.clear()
    for instance_id, live in list(engine.lives.items()):
        if ask and live.instance.active:
            engine.tell(instance_id, ReissueSteps(live.instance.run))


def left_waiting(engine: Engine) -> list[str]:
    """Steps for which nothing will ever come: at rest, only a child that runs itself may be open."""
    found = []
    for instance_id, live in engine.lives.items():
        instance = live.instance
        if instance.active and not instance.begun:
            found.append(f"{instance_id} never begins")
        for task in instance.open.values():
            if (
                isinstance(task.asked, TimerCreated)
                and task.asked.event_name
                and not is_awaited(live, task.asked.task_id)
            ):
                continue  # the event came: nobody needs its time-out any more
            child = getattr(task.asked, "child_id", "")
            if not (
                isinstance(task.asked, ChildScheduled) and child in engine.lives and engine.lives[child].instance.active
            ):
                found.append(f"{instance_id} waits for {task.asked}")
    return found


def is_awaited(live: Live, timer_id: int) -> bool:
    waiters = live.execution.scheduler.waiters if live.execution is not None else {}
    return any(waiter.timer_id == timer_id for queue in waiters.values() for waiter in queue)


def at_rest_after_a_loss(scenario: Scenario, when: int, *, ask: bool = True) -> Engine:
    turns = 0

    def count(engine: Engine, instance_id: str, turn: object) -> None:
        nonlocal turns
        turns += 1
        if turns == when:
            lose_and_ask_again(engine, ask=ask)

    return play(scenario, count)


@budget(150)
@given(scenarios(*LIFECYCLE), st.integers(1, 40))
def test_whatever_is_lost_on_its_way_no_step_waits_for_ever(scenario: Scenario, when: int):
    engine = at_rest_after_a_loss(scenario, when)
    assert left_waiting(engine) == []


@budget(60)
@given(scenarios(), st.integers(1, 40))
def test_where_nothing_is_lost_asking_again_gives_no_step_a_second_result(scenario: Scenario, when: int):
    """Whoever still has what is asked for ignores it; what is done twice has one result in history."""
    turns = 0

    def ask(engine: Engine, instance_id: str, turn: object) -> None:
        nonlocal turns
        turns += 1
        if turns == when:
            for each, live in list(engine.lives.items()):
                if live.instance.active:
                    engine.tell(each, ReissueSteps(live.instance.run))

    engine = play(scenario, ask)
    assert left_waiting(engine) == []
    for history in engine.history.values():
        for generation in generations(history):
            assert [event.seq for event in generation] == list(range(1, len(generation) + 1))
            ends = [event.task_id for event in generation if isinstance(event, ENDED)]
            assert len(ends) == len(set(ends))


def test_without_asking_again_a_lost_task_is_waited_for_for_ever():
    engine = started("works")
    lose_and_ask_again(engine, ask=False)
    assert left_waiting(engine)
    lose_and_ask_again(engine)
    engine.oracle = oracle
    assert len(engine.sent("x", ActivityTask)) == 2
    first, second = engine.sent("x", ActivityTask)
    assert (first.run, first.generation, first.task_id, first.attempt, first.input) == (
        second.run, second.generation, second.task_id, second.attempt, second.input,
    )  # fmt: skip


def test_a_timer_is_set_again_to_when_it_was_due():
    engine = started("sleeps")
    lose_and_ask_again(engine)
    first, second = engine.sent("x", SetTimer)
    assert first == second


def test_a_generation_whose_begin_was_lost_begins():
    engine = next_generation()
    engine.channels.clear()
    engine.tell("x", ReissueSteps(engine.run_of("x")))
    engine.run()
    assert engine.instance("x").begun


def test_an_earlier_run_is_not_asked_for():
    engine = started("works")
    before = len(engine.sent("x"))
    engine.tell("x", ReissueSteps("0.0.0"))
    assert engine.reason() == "StaleRun"
    assert len(engine.sent("x")) == before


def family(child: str = '["note"]') -> tuple[Engine, ChildScheduled]:
    engine = Engine(LIBRARY, oracle=oracle)
    program = f'[["wait", ["child", [{child}], true, false], "once"]]'
    engine.start("root", "yields", program)
    asked = next(event for event in engine.history["root"] if isinstance(event, ChildScheduled))
    return engine, asked


def test_a_child_that_ended_while_nobody_heard_tells_its_parent_again():
    engine, asked = family()
    while not (asked.child_id in engine.lives and engine.instance(asked.child_id).ended):
        engine.step()
    assert engine.instance("root").active
    lose_and_ask_again(engine)
    engine.run()
    assert isinstance(engine.history["root"][-1], WorkflowCompleted)
    assert [kinds(engine.history[asked.child_id]).count("WorkflowStarted")] == [1]


def test_a_child_that_was_terminated_or_purged_meanwhile_fails_its_step_instead_of_hanging_it():
    for purge in (False, True):
        engine, asked = family('["wait", ["timer", 5], "once"]')
        while asked.child_id not in engine.lives:
            engine.step()
        engine.tell(asked.child_id, TerminateWorkflow(command_id="t"))
        if purge:
            engine.tell(asked.child_id, PurgeWorkflow(command_id="p"))
        lose_and_ask_again(engine)
        told = engine.sent(asked.child_id, CompleteChild | FailChild)
        assert told[-1][1].error_type == "WorkflowTerminated"
        engine.run()
        assert engine.instance("root").ended


def test_a_start_that_is_repeated_by_a_client_tells_no_parent():
    engine = started("works")
    engine.tell("x", TerminateWorkflow(command_id="t"))
    before = len(engine.sent("x"))
    engine.tell("x", StartWorkflow("works", command_id=engine.instance("x").started.command_id))
    assert engine.reason() == "accepted"
    assert len(engine.sent("x")) == before


def test_a_delayed_start_is_awaited_again():
    engine = one(works)
    engine.start("x", "works", start_at_us=10**15 * 2)
    lose_and_ask_again(engine)
    (timer,) = engine.timers.values()
    assert (timer.kind, timer.fire_at_us) == ("start", 10**15 * 2)
    assert kinds(engine.tell("x", FireTimer(timer.run, 0, 0, 0, "start", timer.fire_at_us)))[0] == "WorkflowBegun"
