"""Random orchestrations as data, the two functions that run them, and the world they run in.

A program is a list of steps in JSON; it is the workflow's input, so that an evicted instance finds it in its history.
Everything user code can observe goes into a trace, and the trace is the output: two runs that agree in output saw the
same results, in the same order, at the same times.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from perdure.core.awaitables import Task, when_all, when_any
from perdure.core.commands import (
    CompleteActivity,
    FailActivity,
    FireTimer,
    PurgeWorkflow,
    RaiseEvent,
    ResumeWorkflow,
    StartWorkflow,
    SuspendWorkflow,
    TerminateWorkflow,
)
from perdure.core.effects import ActivityTask
from perdure.workflow.app import App
from perdure.workflow.code import Library
from perdure.workflow.payloads import dumps
from perdure.workflow.retry import RetryPolicy
from tests.core.engine import Engine, second

__all__ = ["ACTIVITIES", "LIBRARY", "Scenario", "play", "scenarios"]

RETRY = RetryPolicy(first_retry_interval=second(1), max_number_of_attempts=3, backoff_coefficient=2)
ACTIVITIES = ("ok", "flaky", "bad", "lost")


def asked(ctx: Any, leaf: list[Any]) -> Task[Any]:
    """The task of a leaf."""
    kind = leaf[0]
    if kind == "activity":
        return ctx.call_activity(leaf[1], input=leaf[2], retry_policy=RETRY if leaf[3] else None)
    if kind == "timer":
        return ctx.create_timer(second(leaf[1]))
    if kind == "event":
        return ctx.wait_for_external_event(leaf[1], timeout=second(leaf[2]) if leaf[2] else None)
    if kind == "child":
        name = "awaits" if leaf[2] else "yields"
        return ctx.call_child_workflow(name, input=leaf[1], retry_policy=RETRY if leaf[3] else None)
    if kind == "all":
        return when_all([asked(ctx, each) for each in leaf[1]])
    return when_any([asked(ctx, each) for each in leaf[1]])


def seen(value: Any) -> Any:
    """A result as JSON; a when_any's winner by what became of it."""
    if isinstance(value, Task):
        return ["won", value.what, value.is_failed]
    return [seen(each) for each in value] if isinstance(value, list) else value


def at_once(ctx: Any, step: list[Any], kept: list[Task[Any]], trace: list[Any]) -> Task[Any] | None:
    """Do what needs no waiting; the task to wait for, if there is one."""
    kind = step[0]
    if kind == "wait":
        return asked(ctx, step[1])
    if kind == "keep":
        kept.append(asked(ctx, step[1]))
    elif kind == "rejoin":
        return kept[step[1] % len(kept)] if kept else when_all([])
    elif kind == "status":
        ctx.set_custom_status(step[1])
    elif kind == "note":
        trace.append([str(ctx.current_utc_datetime), str(ctx.uuid4()), len([t for t in kept if t.is_complete])])
    elif kind == "raise":
        raise ValueError(step[1])
    elif kind == "exit":
        raise SystemExit(step[1])
    elif kind == "continue":
        ctx.continue_as_new(step[1], save_events=step[2])
    return None


def failure(error: Exception) -> list[str]:
    details = getattr(error, "details", None)
    return ["failed", type(error).__name__, details.error_type if details else str(error)]


def yields(ctx: Any, program: list[Any]) -> Any:
    trace: list[Any] = []
    yield from _yields(ctx, program, [], trace)
    return trace


def _yields(ctx: Any, steps: list[Any], kept: list[Task[Any]], trace: list[Any]) -> Any:
    for step in steps:
        if step[0] == "try":
            try:
                yield from _yields(ctx, step[1], kept, trace)
            except Exception as error:
                trace.append(failure(error))
                yield from _yields(ctx, step[2], kept, trace)
            continue
        task = at_once(ctx, step, kept, trace)
        if task is not None:
            trace.append(seen((yield task)))
            if step[0] == "wait" and step[-1] == "twice":
                trace.append(seen((yield task)))
        if step[0] == "continue":
            return


async def awaits(ctx: Any, program: list[Any]) -> Any:
    trace: list[Any] = []
    await _awaits(ctx, program, [], trace)
    return trace


async def _awaits(ctx: Any, steps: list[Any], kept: list[Task[Any]], trace: list[Any]) -> None:
    for step in steps:
        if step[0] == "try":
            try:
                await _awaits(ctx, step[1], kept, trace)
            except Exception as error:
                trace.append(failure(error))
                await _awaits(ctx, step[2], kept, trace)
            continue
        task = at_once(ctx, step, kept, trace)
        if task is not None:
            trace.append(seen(await task))
            if step[0] == "wait" and step[-1] == "twice":
                trace.append(seen(await task))
        if step[0] == "continue":
            return


def _library() -> Library:
    app = App()
    app.add_workflow(yields)
    app.add_workflow(awaits)
    return Library(app)


LIBRARY = _library()


def oracle(task: ActivityTask) -> CompleteActivity | FailActivity | FireTimer:
    """What becomes of an attempt: settled by its identity alone."""
    place = (task.run, task.generation, task.task_id, task.attempt)
    chance = random.Random(repr(place)).random()
    if task.name == "lost" and chance < 0.5:
        return FireTimer(*place, "lease", 0)
    if task.name == "bad" or (task.name == "flaky" and chance < 0.5):
        return FailActivity(*place, "ValueError", "no", retryable=task.name != "bad" or chance < 0.5)
    return CompleteActivity(*place, task.input)


# -- strategies ----------------------------------------------------------------------------------------------

EVENTS = ("go", "GO", "stop")
_small = st.integers(1, 9)
_simple = st.one_of(
    st.tuples(st.just("activity"), st.sampled_from(ACTIVITIES), _small, st.booleans()),
    st.tuples(st.just("timer"), st.integers(0, 9)),
    st.tuples(st.just("event"), st.sampled_from(EVENTS), st.sampled_from((0, 1, 5, 9))),
)


def _leaves(children: Any) -> Any:
    simple = _simple if children is None else st.one_of(_simple, _simple, children)
    many = st.one_of(
        st.tuples(st.just("all"), st.lists(simple, max_size=4)),
        st.tuples(st.just("any"), st.lists(simple, min_size=2, max_size=4)),
    )
    nested = st.tuples(st.sampled_from(("all", "any")), st.lists(many, min_size=1, max_size=2))
    return st.one_of(simple, simple, many, nested)


def _steps(leaves: Any, deep: int, least: int = 1) -> Any:
    waits = st.tuples(st.just("wait"), leaves, st.sampled_from(("once", "once", "twice")))
    keeps = st.tuples(st.just("keep"), leaves)
    quick = st.one_of(
        st.tuples(st.just("rejoin"), st.integers(0, 3)),
        st.tuples(st.just("status"), _small),
        st.tuples(st.just("note")),
    )
    if not deep:
        return st.lists(st.one_of(waits, waits, keeps, quick), min_size=least, max_size=least + 2)
    inner = _steps(leaves, deep - 1)
    tries = st.tuples(st.just("try"), inner, inner)
    ends = st.one_of(
        st.tuples(st.sampled_from(("raise", "raise", "exit")), st.just("on purpose")),
        st.tuples(st.just("continue"), inner, st.booleans()),
        st.tuples(st.just("continue"), inner, st.booleans()),
    )
    middle = st.lists(st.one_of(waits, waits, waits, tries, keeps, quick), min_size=least, max_size=least + 4)
    return st.builds(lambda steps, end: [*steps, *end], middle, st.lists(ends, max_size=1))


_grandchild = st.tuples(st.just("child"), _steps(_leaves(None), 0), st.booleans(), st.booleans())
_child = st.tuples(st.just("child"), _steps(_leaves(_grandchild), 1), st.booleans(), st.booleans())


@dataclass(slots=True)
class Scenario:
    """A program, what comes to it from outside (after how many deliveries), and the seed of the interleaving."""

    program: Any
    awaiting: bool
    outside: list[tuple[int, str, str, int]]
    seed: int


_targets = st.sampled_from(("root", "root", "root", "root:0001", "root:0002", "root:1:0001"))
_raises = st.tuples(st.integers(0, 20), st.sampled_from(EVENTS), _targets, _small)


def scenarios(*more: str) -> Any:
    """Scenarios; `more` are lifecycle commands that may come from outside beside raised events."""
    outside: Any = st.lists(_raises, min_size=2, max_size=6)
    if more:
        lifecycle = st.tuples(st.integers(0, 20), st.sampled_from(more), _targets, _small)
        outside = st.lists(st.one_of(_raises, _raises, lifecycle), min_size=2, max_size=8)
    programs = _steps(_leaves(_child), 2, 2)
    return st.builds(Scenario, programs, st.booleans(), outside, st.integers(0, 2**32))


def _command(what: str, number: int, place: int) -> Any:
    identity = f"outside {place}"
    if what == "suspend":
        return SuspendWorkflow(identity)
    if what == "resume":
        return ResumeWorkflow(identity)
    if what == "terminate":
        return TerminateWorkflow(command_id=identity)
    if what == "purge":
        return PurgeWorkflow(command_id=identity)
    if what == "start":
        return StartWorkflow("yields", dumps([["wait", ["child", [["note"]], True, False], "once"]]), identity)
    return RaiseEvent(what, dumps(number), identity)


def play(scenario: Scenario, after_turn: Any = None, **options: Any) -> Engine:
    """Run a scenario to rest, one command a batch. `after_turn` is told (engine, instance id, turn)."""
    engine = Engine(LIBRARY, seed=scenario.seed, oracle=oracle, **options)
    if after_turn is not None:
        engine.after_turn = after_turn
    coming = sorted((when, place) for place, (when, *_) in enumerate(scenario.outside))
    engine.start("root", "awaits" if scenario.awaiting else "yields", dumps(scenario.program))
    step, busy = 0, True
    while busy or coming:
        step += 1
        assert step < 5_000, "the scenario never comes to rest"
        if coming and (coming[0][0] <= step or not busy):
            place = coming.pop(0)[1]
            _, what, target, number = scenario.outside[place]
            engine.tell(target, _command(what, number, place))
        busy = engine.step()
    return engine
