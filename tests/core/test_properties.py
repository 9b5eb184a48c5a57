"""Deciding live and replaying history agree, event for event, for orchestrations nobody thought of."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.codec.avro import encode
from perdure.core.commands import ResumeWorkflow, SuspendWorkflow
from perdure.core.decide import Moment, decide
from perdure.core.events import (
    ActivityCompleted,
    ActivityFailed,
    ActivityRetried,
    ActivityScheduled,
    ChildCompleted,
    ChildFailed,
    ChildRetried,
    ChildScheduled,
    Event,
    TimerCreated,
    TimerFired,
    WorkflowCompleted,
    WorkflowContinuedAsNew,
    WorkflowFailed,
    WorkflowStalled,
)
from perdure.core.execution import Execution
from perdure.core.instance import Instance, apply
from perdure.core.turn import Turn, live_from_history
from tests.core.engine import Engine, Entry, generations, redeliver, state_of
from tests.core.programs import LIBRARY, Scenario, play, scenarios

LIFECYCLE = ("suspend", "resume", "terminate", "purge", "start")
FACTOR = int(os.environ.get("PERDURE_PROPERTY_FACTOR", "1"))  # more, for a long search
ASKED = (ActivityScheduled, TimerCreated, ChildScheduled)
ENDED = (ActivityCompleted, ChildCompleted, TimerFired)
FAILED = (ActivityFailed, ChildFailed)
RETRIED = (ActivityRetried, ChildRetried)


def budget(examples: int) -> Any:
    return settings(
        max_examples=examples * FACTOR, deadline=None, database=None, print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip


def task_of(task: Any) -> Any:
    """A task's whole state as plain values."""
    inside = [task_of(each) for each in getattr(task, "tasks", [])]
    return task and (type(task).__name__, task.task_id, task.what, task.is_complete, task.is_failed, inside)


def user_code_of(execution: Execution) -> dict[str, Any]:
    """Where user code stands: all that decides what it does with the next fact."""
    scheduler = execution.scheduler
    waiters = {name: [(w.name, w.timer_id, w.since_us) for w in queue] for name, queue in scheduler.waiters.items()}
    return {
        "waiting": task_of(execution.waiting),
        "open": sorted((task_id, task.what) for task_id, task in scheduler.open.items()),
        "waiters": waiters,
        "buffer": {name: [(e.seq, e.data) for e in queue] for name, queue in scheduler.buffer.items()},
        "next": scheduler.next_task_id,
        "now": scheduler.now_us,
        "cause": scheduler.cause,
        "ended": type(execution.outcome).__name__,
    }


def replayed(instance_id: str, history: list[Event]) -> tuple[Execution, list[Any]]:
    live = live_from_history(instance_id, history)
    started = live.instance.started
    assert started is not None
    code = LIBRARY(started.name)
    assert code is not None
    execution = Execution(code, started, instance_id)
    return execution, execution.replay(history, live.handled_to)


@budget(100)
@given(scenarios(*LIFECYCLE))
def test_replaying_any_committed_prefix_asks_nothing_new_and_stands_where_live_code_stood(scenario: Scenario):
    def look(engine: Engine, instance_id: str, turn: Turn) -> None:
        live = turn.live
        if live.execution is None:
            return
        waiting = live.execution.waiting
        assert waiting is None or not waiting.is_complete, "user code waits for what is there"
        execution, surplus = replayed(instance_id, engine.generation(instance_id))
        assert surplus == []
        assert user_code_of(execution) == user_code_of(live.execution)
        execution.close()

    engine = play(scenario, look)
    for instance_id, history in engine.history.items():
        for generation in generations(history):
            if isinstance(generation[-1], WorkflowCompleted | WorkflowFailed | WorkflowContinuedAsNew):
                execution, surplus = replayed(instance_id, generation)
                assert surplus == []
                assert execution.outcome is not None


@budget(100)
@given(scenarios(*LIFECYCLE), st.integers(0, 2**32))
def test_batch_borders_and_evictions_are_invisible_in_history_and_effects(scenario: Scenario, seed: int):
    first = play(scenario)
    again = redeliver(first.log, LIBRARY, seed=seed, evict=0.4, batches=True)
    assert again.history == first.history
    assert again.effects == first.effects
    answers = sorted((entry.origin, entry.rejection is None) for entry in first.log)
    assert sorted((entry.origin, entry.rejection is None) for entry in again.log) == answers


@budget(70)
@given(scenarios(*LIFECYCLE))
def test_state_is_a_fold_of_events(scenario: Scenario):
    def look(engine: Engine, instance_id: str, turn: Turn) -> None:
        folded = Instance(instance_id)
        for event in engine.history.get(instance_id, []):
            apply(folded, event)
        assert state_of(folded) == state_of(turn.live.instance)

    engine = play(scenario, look)
    for history in engine.history.values():
        reasons = {event.reason for event in history if isinstance(event, WorkflowStalled)}
        assert reasons <= {"base exception"}, "nothing but what the program asks for parks an instance"


@budget(70)
@given(scenarios(*LIFECYCLE))
def test_histories_are_gapless_and_each_step_ends_once(scenario: Scenario):
    engine = play(scenario, evict=0.2, skew=3)
    for history in engine.history.values():
        earlier, place = 0, ("", 0)
        for generation in generations(history):
            assert [event.seq for event in generation] == list(range(1, len(generation) + 1))
            number = generation[0].generation
            assert {(event.run, event.generation) for event in generation} == {(generation[0].run, number)}
            assert number == 0 or (generation[0].run, number - 1) == place
            place = (generation[0].run, number)
            check_steps(generation)
            for event in generation:
                assert event.at_us >= earlier
                earlier = event.at_us


def check_steps(generation: list[Event]) -> None:
    """Every completion is of a task that is open; causes are facts of before; task ids count up."""
    attempts: dict[int, int] = {}
    highest = 0
    for event in generation:
        if isinstance(event, ASKED):
            assert event.task_id > highest
            assert 0 < event.cause < event.seq
            highest, attempts[event.task_id] = event.task_id, 1
        elif isinstance(event, ENDED):
            attempt = attempts.pop(event.task_id)
            assert isinstance(event, TimerFired) or event.attempt == attempt
        elif isinstance(event, FAILED):
            assert attempts[event.task_id] == event.attempt
            if not event.retry_at_us:
                del attempts[event.task_id]
        elif isinstance(event, RETRIED):
            attempts[event.task_id] += 1
            assert attempts[event.task_id] == event.attempt


@budget(70)
@given(scenarios(), st.integers(0, 2**32))
def test_suspending_and_resuming_changes_nothing_that_user_code_does(scenario: Scenario, seed: int):
    first = play(scenario)
    again = with_suspensions(first.log, seed)
    for instance_id, history in first.history.items():
        assert list(map(deeds, generations(again.history[instance_id]))) == list(map(deeds, generations(history)))


def deeds(generation: list[Event]) -> list[Any]:
    """What user code asked for and how it ended, without the places of it in history."""
    found: list[Any] = []
    for event in generation:
        if isinstance(event, ActivityScheduled | ChildScheduled):
            found.append((event.task_id, event.name, event.input))
        elif isinstance(event, TimerCreated):
            found.append((event.task_id, event.fire_at_us))
        elif isinstance(event, WorkflowCompleted | WorkflowFailed | WorkflowContinuedAsNew):
            found.append((type(event).__name__, getattr(event, "output", ""), getattr(event, "input", "")))
    return found


def with_suspensions(log: list[Entry], seed: int) -> Engine:
    """The log again, an instance now and then suspended for as long as the log's next command still fits it."""
    engine = Engine(LIBRARY, seed=seed, evict=0.2)
    rng = engine.rng

    def tell(entry: Entry, command: Any) -> None:
        engine.deliver(entry.instance_id, [Entry(entry.instance_id, command, entry.origin, entry.now_us)])

    for entry in log:
        instance = engine.live(entry.instance_id).instance
        if instance.suspended:
            moment = Moment(entry.now_us, entry.origin, lambda _: True)
            fits = (decide(instance, entry.command, moment).rejection is None) == (entry.rejection is None)
            if not fits or rng.random() < 0.2:
                tell(entry, ResumeWorkflow())
        elif instance.active and rng.random() < 0.3:
            tell(entry, SuspendWorkflow())
        tell(entry, entry.command)
    for instance_id in engine.history:
        if engine.instance(instance_id).suspended:
            tell(Entry(instance_id, None, "", log[-1].now_us), ResumeWorkflow())  # type: ignore[arg-type]
    return engine


@budget(70)
@given(scenarios(*LIFECYCLE), st.integers(0, 2**32))
def test_a_command_that_comes_again_changes_nothing(scenario: Scenario, seed: int):
    first = play(scenario)
    again = redeliver(first.log, LIBRARY, seed=seed, repeats=0.5, evict=0.1)
    assert again.history == first.history


@budget(50)
@given(scenarios(*LIFECYCLE))
def test_every_recorded_event_is_left_as_it_was_recorded(scenario: Scenario):
    recorded: list[tuple[Event, bytes]] = []

    def look(_engine: Engine, _id: str, turn: Turn) -> None:
        recorded.extend((event, encode(event)) for event in turn.events)

    play(scenario, look, codec=False)
    for event, data in recorded:
        assert encode(event) == data
