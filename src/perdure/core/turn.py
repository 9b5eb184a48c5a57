"""A turn: the commands of one instance in one batch, decided one after the other, user code resumed in between.

**Law.** Each command is decided completely (facts applied, user code told each of them, its actions recorded) before the
next one is looked at; so the order of the log alone settles what happens first when an event meets a termination, a
completion or a continue_as_new in one batch. A turn's borders are nowhere in its events.

A turn can be left in the middle (user code that never returns is abandoned with its thread): `park` then records the
stall, and `run` goes on with the commands that are left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from perdure.core.asking import activity_task, start_child
from perdure.core.clipping import clipped, text_of
from perdure.core.commands import FailChild, RaiseEvent, RecoverWorkflow, StartWorkflow
from perdure.core.decide import Moment, Rejection, decide
from perdure.core.effects import CancelTimer, Effect, SendCommand, SetTimer
from perdure.core.ending import ENDS, begin_command, ending_effects, next_generation
from perdure.core.events import (
    ActivityScheduled,
    ChildScheduled,
    Event,
    EventRaised,
    TimerCreated,
    WorkflowCompleted,
    WorkflowContinuedAsNew,
    WorkflowFailed,
    WorkflowRecovered,
    WorkflowStalled,
)
from perdure.core.execution import (
    Code,
    Completed,
    Diverged,
    Execution,
    Failed,
    Outcome,
    Parked,
    Runner,
    is_fact,
)
from perdure.core.instance import Instance, apply, from_row
from perdure.core.rows import InstanceRow
from perdure.core.scheduler import Action, Continuation
from perdure.core.sizes import text_bytes

__all__ = ["Answer", "Live", "Request", "Turn", "live_from_history", "live_from_row"]


class Live:
    """An instance in memory: its state, and (unless parked, ended or only just loaded) its running user code."""

    __slots__ = ("execution", "handled_to", "history", "inbox", "instance")

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.execution: Execution | None = None
        self.inbox: deque[Event] = deque()  # facts user code has not been told
        self.handled_to = 0  # seq of the last one it was told
        self.history: list[Event] | None = []  # what replay needs; None once user code is live (it is in the store)

    @property
    def buffered(self) -> int:
        waiting = sum(1 for fact in self.inbox if isinstance(fact, EventRaised))
        return waiting + (self.execution.scheduler.buffered if self.execution else 0)

    @property
    def buffered_bytes(self) -> int:
        waiting = sum(text_bytes(fact.data) for fact in self.inbox if isinstance(fact, EventRaised))
        return waiting + (self.execution.scheduler.buffered_bytes if self.execution else 0)

    @property
    def needs_history(self) -> bool:
        """User code can only go on after replay, and what replay needs is not at hand."""
        return self.instance.active and self.execution is None and self.history is None

    @property
    def could_be_made(self) -> bool:
        """User code is not live, though it could be."""
        instance = self.instance
        awake = instance.active and instance.begun and not instance.parked
        return awake and self.execution is None and self.history is not None

    def close(self) -> None:
        """Let user code go (on a thread where it may run)."""
        execution, self.execution = self.execution, None
        self.history = None
        if execution is not None:
            execution.close()


def live_from_history(instance_id: str, history: Sequence[Event]) -> Live:
    """A loaded instance: state folded from its generation's events; user code follows when a fact needs it."""
    instance = Instance(instance_id)
    for event in history:
        apply(instance, event)
    live = Live(instance)
    live.history = list(history)
    facts = [event for event in history if is_fact(event)]
    if instance.parked:
        live.handled_to = instance.handled_to
    elif instance.begun and facts:
        live.handled_to = facts[-1].seq
    live.inbox.extend(fact for fact in facts if fact.seq > live.handled_to)
    return live


def live_from_row(row: InstanceRow) -> Live:
    """A finished or purged instance."""
    return Live(from_row(row))


@dataclass(slots=True)
class Request:
    """A command and where it came from. `origin`: "epoch.partition.offset"."""

    command: Any
    origin: str


@dataclass(slots=True)
class Answer:
    """The outcome of one request, in the order of the requests."""

    request: Request
    rejection: Rejection | None = None


@dataclass(slots=True)
class Turn:
    """`run` it; then events, effects and answers are what the commit carries."""

    live: Live
    requests: list[Request]
    now_us: int
    library: Callable[[str], Code | None]  # registered workflows by name
    runner: Runner
    events: list[Event] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    position: int = 0
    park_first: str = ""  # why user code must not be run at all: the instance is parked where it would be
    witness: Callable[[Instance, Event], None] | None = None  # told of each event before it takes effect
    instance: Instance = field(init=False)

    def __post_init__(self) -> None:
        self.instance = self.live.instance

    def run(self) -> None:
        """Decide request after request; stops early if what replay would need is no longer at hand.

        Then `requests[position:]` are to be decided in another turn, after a load. A turn without requests makes
        user code live.
        """
        if not self.requests:
            try:
                self._drain()
            except Exception as error:  # noqa: BLE001 - as below
                self._internal(error, had_effect=True)
        while self.position < len(self.requests) and not (self.position and self.live.needs_history):
            request, before = self.requests[self.position], len(self.events)
            try:
                rejection = self._take(request)
            except Exception as error:  # noqa: BLE001 - an unexpected error parks the instance, never the partition
                rejection = self._internal(error, had_effect=len(self.events) > before)
            self._answer(request, rejection)

    def park(self, reason: str, detail: str) -> None:
        """Give up on user code in the middle of a request; the request itself was accepted.

        The runner that user code was called through must never return to this turn after that.
        """
        execution, self.live.execution = self.live.execution, None
        if execution is not None:
            execution.scheduler.seal()
        if self.instance.active:  # else it was closing the code of a run that had ended
            self._stall(reason, detail)
        self._answer(self.requests[self.position], None)

    def _internal(self, error: Exception, *, had_effect: bool) -> Rejection | None:
        detail = f"{type(error).__name__}: {text_of(error)}"
        self.live.close()
        if self.instance.active:
            self._stall("internal", detail)
        return None if had_effect else Rejection("Internal", detail)

    def _answer(self, request: Request, rejection: Rejection | None) -> None:
        self.answers.append(Answer(request, rejection))
        self.position += 1

    # -- one command ----------------------------------------------------------------------------------------

    def _take(self, request: Request) -> Rejection | None:
        command, live = request.command, self.live
        recovered = self._recover_under_new_code(command)
        if type(command) is RaiseEvent and live.execution is None and self._may_run() and not self.park_first:
            self._make_execution()  # only user code knows how many raised events it has not taken
        moment = Moment(self.now_us, request.origin, self._registered, live.handled_to)
        if type(command) is RaiseEvent:
            moment.buffered, moment.buffered_bytes = live.buffered, live.buffered_bytes
        decision = decide(self.instance, command, moment)
        if decision.rejection is not None:
            self._tell_parent_of_rejection(command, decision.rejection)
            if recovered:
                self._drain()  # what waited is told, whatever became of the command
            return decision.rejection
        self.effects += decision.effects
        for event in decision.events:
            self._append(event)
        self._drain()
        return None

    def _registered(self, name: str) -> bool:
        return self.library(name) is not None

    def _recover_under_new_code(self, command: Any) -> bool:
        stalled = self.instance.stalled
        if stalled is None or type(command) is RecoverWorkflow:
            return False
        code = self.library(self.instance.name)
        if code is None or code.fingerprint == stalled.fingerprint:
            return False
        self._append(WorkflowRecovered(*self._place(), code.fingerprint))
        return True

    def _tell_parent_of_rejection(self, command: Any, rejection: Rejection) -> None:
        if type(command) is StartWorkflow and command.parent_id:
            failure = FailChild(
                command.parent_run, command.parent_generation, command.parent_task_id, command.parent_attempt,
                rejection.reason, rejection.message, retryable=False,
            )  # fmt: skip
            self.effects.append(SendCommand(command.parent_id, failure))

    def _append(self, event: Event) -> None:
        """An event takes effect: on state, and as a fact to be told."""
        live = self.live
        if isinstance(event, ENDS):
            self.effects += ending_effects(self.instance, event)
        fresh = event.seq == 1
        if self.witness is not None:
            self.witness(self.instance, event)
        apply(self.instance, event)
        self.events.append(event)
        if fresh:
            live.close()
            live.inbox.clear()
            live.history, live.handled_to = [], 0
        if self.instance.ended:
            live.inbox.clear()
            live.close()
        elif is_fact(event):
            live.inbox.append(event)

    # -- user code ------------------------------------------------------------------------------------------

    def _may_run(self) -> bool:
        instance = self.instance
        return instance.active and instance.begun and not instance.parked

    def _drain(self) -> None:
        """Tell user code every fact it may be told now."""
        live = self.live
        if self.park_first and self._may_run():
            self._stall("crash", self.park_first)
            self.park_first = ""
        if self._may_run() and live.execution is None:
            self._make_execution()
        while live.inbox and live.execution is not None and self._may_run():
            execution, fact = live.execution, live.inbox[0]
            actions = execution.handle(fact)
            if isinstance(execution.outcome, Parked):
                self._stall_by(execution)
                return
            live.inbox.popleft()
            live.handled_to = fact.seq
            self._record(actions)
            self._forget_answered_waits(execution)
            if execution.outcome is not None:
                self._finish(execution, execution.outcome)

    def _make_execution(self) -> None:
        """Live user code, by replay of what it was told before; or the instance is parked instead."""
        live, started = self.live, self.instance.started
        code = self.library(self.instance.name)
        if code is None:
            name = self.instance.name
            self._stall("unregistered", f"no workflow named '{name}' is registered in this deployment")
            return
        if started is None or live.history is None:
            raise AssertionError("user code is needed, and its history is not at hand")
        execution = Execution(code, started, self.instance.instance_id, self.runner)
        live.execution = execution
        try:
            surplus = execution.replay(live.history, live.handled_to)
        except Diverged as error:
            live.close()
            live.history = None
            self._stall("diverged", str(error))
            return
        if isinstance(execution.outcome, Parked):
            self._stall_by(execution)
            return
        live.history = None
        self._record(surplus)
        if execution.outcome is not None:
            self._finish(execution, execution.outcome)

    def _record(self, actions: Sequence[Action]) -> None:
        for action in actions:
            _, _, action.seq, action.at_us = self._place()
            self._append(action)
            if type(action) is ActivityScheduled:
                self.effects.append(activity_task(self.instance, action, 1, action.at_us))
            elif type(action) is TimerCreated:
                place = (action.run, action.generation, action.task_id, 0, "timer", action.fire_at_us)
                self.effects.append(SetTimer(*place))
            elif type(action) is ChildScheduled:
                self.effects.append(start_child(self.instance, action, 1))

    def _forget_answered_waits(self, execution: Execution) -> None:
        for task_id in execution.cancelled_timers:
            task = self.instance.open.get(task_id)
            if task is not None and isinstance(task.asked, TimerCreated):
                asked = task.asked
                place = (asked.run, asked.generation, task_id, 0, "timer", asked.fire_at_us)
                self.effects.append(CancelTimer(*place))
        execution.cancelled_timers.clear()

    def _finish(self, execution: Execution, outcome: Outcome) -> None:
        place = self._place()
        if isinstance(outcome, Completed):
            self._append(WorkflowCompleted(*place, outcome.output))
        elif isinstance(outcome, Failed):
            self._append(
                WorkflowFailed(*place, outcome.error_type, clipped(outcome.message), clipped(outcome.stack_trace))
            )
        elif isinstance(outcome, Continuation):
            self._continue(execution, outcome)

    def _continue(self, execution: Execution, outcome: Continuation) -> None:
        """End this generation and write the next one's first events; its user code runs in a later batch."""
        live, place = self.live, self._place()
        carried: list[EventRaised] = []
        if outcome.save_events:
            kept = [event for queue in execution.scheduler.buffer.values() for event in queue]
            carried = sorted(kept, key=lambda event: event.seq)
        carried += [fact for fact in live.inbox if isinstance(fact, EventRaised)]  # nobody was told of these yet
        self._append(WorkflowContinuedAsNew(*place, outcome.input, outcome.save_events))
        for event in next_generation(self.instance, outcome, carried, place[3]):
            self._append(event)
        self.effects.append(begin_command(self.instance.instance_id, place[0], self.instance.generation))

    # -- parking --------------------------------------------------------------------------------------------

    def _stall_by(self, execution: Execution) -> None:
        outcome = execution.outcome
        if not isinstance(outcome, Parked):
            raise AssertionError("not parked")
        self.live.close()
        self._stall(outcome.reason, outcome.detail)

    def _stall(self, reason: str, detail: str) -> None:
        code = self.library(self.instance.name)
        self.live.history = None
        self._append(
            WorkflowStalled(
                *self._place(), reason, clipped(detail), code.fingerprint if code else "", self.live.handled_to
            )
        )

    def _place(self) -> tuple[str, int, int, int]:
        instance = self.instance
        return (
            instance.run, instance.generation, instance.next_seq, max(self.now_us, instance.last_at_us)
        )  # fmt: skip
