"""Conservation: whatever fails, and however the engine is interrupted, a saga is done wholly or undone wholly.

The ledger is what activities did to the world. A worker runs an attempt at least once; the idempotency key (run, task)
makes its effect happen once, as an application's would.
"""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perdure.core.commands import CompleteActivity, FailActivity, FireTimer
from perdure.core.effects import ActivityTask
from perdure.core.events import ActivityScheduled
from perdure.workflow.app import App
from perdure.workflow.code import Library
from perdure.workflow.payloads import dumps, loads
from perdure.workflow.retry import RetryPolicy
from tests.core.engine import Engine, redeliver, second
from tests.core.test_properties import budget

RETRY = RetryPolicy(first_retry_interval=second(1), max_number_of_attempts=4, backoff_coefficient=2)


def saga(ctx, steps: list):
    done: list[str] = []
    try:
        for name in steps:
            yield ctx.call_activity("do", input=name)
            done.append(name)
        return "success"
    except Exception:
        for name in reversed(done):
            yield ctx.call_activity("undo", input=name, retry_policy=RETRY)
        return "undone"


async def async_saga(ctx, steps: list):
    done: list[str] = []
    try:
        for name in steps:
            await ctx.call_activity("do", input=name)
            done.append(name)
        return "success"
    except Exception:
        for name in reversed(done):
            await ctx.call_activity("undo", input=name, retry_policy=RETRY)
        return "undone"


def many(ctx, sagas: list):
    from perdure.core.awaitables import when_all

    names = ("saga", "async_saga")
    return (yield when_all([ctx.call_child_workflow(names[at % 2], input=steps) for at, steps in enumerate(sagas)]))


APP = App()
for _workflow in (saga, async_saga, many):
    APP.add_workflow(_workflow)
LIBRARY = Library(APP)


class World:
    """What activities did, once per idempotency key; and which of them fail."""

    def __init__(self, doomed: set[str]) -> None:
        self.doomed = doomed
        self.did: dict[tuple[str, int], tuple[str, str]] = {}

    def __call__(self, task: ActivityTask) -> Any:
        place = (task.run, task.generation, task.task_id, task.attempt)
        name = loads(task.input)
        chance = random.Random(repr(place)).random()
        if task.name == "do" and name in self.doomed:
            return FailActivity(*place, "ValueError", "no", retryable=chance < 0.5)
        if task.name == "undo" and task.attempt < 3 and chance < 0.5:
            return FireTimer(*place, "lease", 0) if chance < 0.25 else FailActivity(*place, "OSError", "for now")
        self.did.setdefault((task.run, task.task_id), (task.name, name))
        return CompleteActivity(*place, task.input)

    def of_run(self, run: str) -> list[tuple[str, str]]:
        return [did for (its_run, _), did in self.did.items() if its_run == run]


names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=5)


@budget(50)
@given(st.lists(names, min_size=1, max_size=4), st.sets(st.sampled_from("abcdef"), max_size=2), st.integers(0, 2**32))
def test_a_saga_is_done_wholly_or_undone_wholly_in_reverse_order(sagas: list[list[str]], doomed: set[str], seed: int):
    world = World(doomed)
    engine = Engine(LIBRARY, seed=seed, oracle=world, evict=0.3)
    engine.start("x", "many", dumps(sagas))
    engine.run()
    assert engine.instance("x").status == "COMPLETED"
    outcomes = loads(engine.instance("x").output)
    for at, steps in enumerate(sagas):
        child = f"x:{at + 1:04x}"
        did = world.of_run(engine.run_of(child))
        failing = next((place for place, name in enumerate(steps) if name in doomed), None)
        if failing is None:
            assert outcomes[at] == "success"
            assert did == [("do", name) for name in steps]
        else:
            before = steps[:failing]
            assert outcomes[at] == "undone"
            assert did == [("do", name) for name in before] + [("undo", name) for name in reversed(before)]
        asked = [event for event in engine.history[child] if isinstance(event, ActivityScheduled)]
        assert len(asked) == len(did) + (failing is not None)
    again = redeliver(engine.log, LIBRARY, seed=seed, evict=0.5, batches=True)
    assert again.history == engine.history
