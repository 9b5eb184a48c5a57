"""Replay of a recorded history against code: would this deployment carry on what an earlier one began?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from perdure.core.events import Event, WorkflowCompleted, WorkflowContinuedAsNew, WorkflowFailed, WorkflowStarted
from perdure.core.execution import Completed, Diverged, Execution, Failed, Outcome, Parked
from perdure.core.turn import live_from_history
from perdure.testing.histories import AnyHistory, HistoryUnreadable, history_of
from perdure.workflow.app import App
from perdure.workflow.code import Library

__all__ = ["Replayed", "replay"]

State = Literal["waiting", "completed", "failed", "continued"]

_ENDS: dict[type, State] = {
    WorkflowCompleted: "completed",
    WorkflowFailed: "failed",
    WorkflowContinuedAsNew: "continued",
}


@dataclass(slots=True, frozen=True)
class Replayed:
    """Where the code stands at the end of a history.

    `waits_for` says what it waits for, and `where` at which line; `output` is the result of code that completed;
    `error` the type and text of a failure. `asks_for` lists what it asks for beyond the history, in words.
    """

    state: State
    waits_for: str = ""
    where: str = ""
    output: Any = None
    error: str = ""
    asks_for: tuple[str, ...] = ()


def replay(history: AnyHistory, code: App | Callable[..., Any], *, instance_id: str = "") -> Replayed:
    """Run the code over the facts of a history and hold what it asks for against what was recorded.

    `history`: from `env.history`, `client.get_history` or `load_history`; or its JSON. `code`: an App, or one workflow
    function (then its activities go by their functions' names). `instance_id`: needed where the history does not tell it
    and the code uses it. Inputs of steps may differ; their order, kind and names may not. Raises Diverged with both sides,
    the event and the source line; HistoryUnreadable; LookupError if the App lacks the workflow.
    """
    events = history_of(history, instance_id)
    if not events or not isinstance(events[0], WorkflowStarted):
        raise HistoryUnreadable("a history begins with WorkflowStarted")
    started = events[0]
    execution = Execution(_code(code, started.name), started, events.instance_id or "replayed")
    try:
        surplus = execution.replay(events, live_from_history(events.instance_id, events).handled_to)
        outcome = execution.outcome
        _hold_ends(events, execution)
        task = execution.waiting
        waits_for = "" if task is None or outcome is not None else _words(task)
        where = execution.location()[4:-1]
    finally:
        execution.close()
    asked = tuple(type(action).__name__ + " " + str(getattr(action, "name", "")) for action in surplus)
    return _replayed(outcome, waits_for, where, tuple(each.strip() for each in asked))


def _code(code: App | Callable[..., Any], name: str) -> Any:
    if isinstance(code, App):
        app = code
    else:
        app = App()
        app.add_workflow(code, name=name)
    found = Library(app)(name)
    if found is None:
        known = ", ".join(map(repr, app.workflows)) or "none"
        raise LookupError(f"the history is one of workflow {name!r}, which is not registered; registered are: {known}")
    return found


def _hold_ends(events: Sequence[Event], execution: Execution) -> None:
    """A recorded end is a decision of the code like any other."""
    outcome, last = execution.outcome, events[-1]
    if isinstance(outcome, Parked):
        raise Diverged(f"the code cannot go on: {outcome.reason}: {outcome.detail}")
    recorded = _ENDS.get(type(last))
    if recorded is None:
        return
    state = _state(outcome)
    if state != recorded:
        detail = f" ({outcome.error_type}: {outcome.message})" if isinstance(outcome, Failed) else ""
        stands = (
            f"waits for {_words(execution.waiting)} {execution.location()}" if state == "waiting" else state + detail
        )
        raise Diverged(
            f"history has {type(last).__name__} at event {last.seq}, the code is not {recorded}: it {stands}"
        )


def _state(outcome: Outcome | None) -> State:
    if outcome is None:
        return "waiting"
    if isinstance(outcome, Completed):
        return "completed"
    return "failed" if isinstance(outcome, Failed) else "continued"


def _replayed(outcome: Outcome | None, waits_for: str, where: str, asked: tuple[str, ...]) -> Replayed:
    state = _state(outcome)
    if isinstance(outcome, Completed):
        return Replayed(state, output=json.loads(outcome.output) if outcome.output else None, asks_for=asked)
    if isinstance(outcome, Failed):
        return Replayed(state, error=f"{outcome.error_type}: {outcome.message}", asks_for=asked)
    return Replayed(state, waits_for, where, asks_for=asked)


def _words(task: Any) -> str:
    """A task in words; a composite with those it still waits for."""
    parts = getattr(task, "tasks", None)
    what = getattr(task, "what", "") or "nothing"
    if not parts:
        return str(what)
    return f"{what} of " + ", ".join(_words(part) for part in parts if not part.is_complete)
