"""User code, live: one generation's generator (or coroutine), driven by facts.

**Law.** User code is a function from facts, in order, to actions. One fact, one resume, live and in replay alike; no
batch, turn, suspension, eviction or restart is visible to it. History is a prefix that the code must reproduce: replay
feeds the recorded facts and holds every action against the recorded one with the same cause; what the code asks for
beyond the prefix is live.

Rejected: resuming once per batch of facts (a batch's borders would become part of every history).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from perdure.core.awaitables import Task
from perdure.core.clipping import text_of
from perdure.core.errors import FailureDetails, PerdureError, TaskFailedError
from perdure.core.events import (
    ACTIONS,
    ActivityCompleted,
    ActivityFailed,
    ChildCompleted,
    ChildFailed,
    CustomStatusSet,
    Event,
    EventRaised,
    TimerFired,
    WorkflowBegun,
    WorkflowStarted,
)
from perdure.core.places import description, key, trace, where
from perdure.core.scheduler import Action, Continuation, Scheduler
from perdure.core.sizes import payload_bytes

__all__ = [
    "Code", "Completed", "Diverged", "Execution", "Failed", "Outcome", "Parked", "Runner", "StallSignal", "is_fact",
]  # fmt: skip


class Code(Protocol):
    """A registered workflow as the core sees it."""

    @property
    def fingerprint(self) -> str: ...

    def begin(self, scheduler: Scheduler, input: str) -> Any:
        """A generator or coroutine of the user's, not yet started. Raises what user code raises."""

    def encode_output(self, value: Any) -> str:
        """JSON text of a result. Raises PayloadError or PayloadTooLarge."""


class Completed:
    __slots__ = ("output",)

    def __init__(self, output: str) -> None:
        self.output = output


class Failed:
    __slots__ = ("error_type", "message", "stack_trace")

    def __init__(self, error_type: str, message: str, stack_trace: str) -> None:
        self.error_type = error_type
        self.message = message
        self.stack_trace = stack_trace


class Parked:
    """User code cannot go on; nothing it asked for in this resume counts."""

    __slots__ = ("detail", "reason")

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail


Outcome = Completed | Failed | Continuation | Parked
Runner = Callable[[Callable[..., Any], Any], Any]
"""Calls a piece of user code with one argument. The shell's version adds the deadline and the guard."""


class Diverged(PerdureError):
    """Replay asked for something else than history has."""


class StallSignal(BaseException):
    """Raised by a runner to park the instance: `reason` and `detail` go into history."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail


FACTS = (
    ActivityCompleted, ActivityFailed, TimerFired, EventRaised, ChildCompleted, ChildFailed, WorkflowStarted,
    WorkflowBegun,
)  # fmt: skip


def is_fact(event: Event) -> bool:
    """Is user code told of it? Attempts that will be tried again are not facts, nor is a start that WorkflowBegun follows."""
    kind = type(event)
    if kind is ActivityFailed or kind is ChildFailed:
        return event.retry_at_us == 0  # type: ignore[union-attr]
    if kind is WorkflowStarted:
        return event.start_at_us == 0 and event.generation == 0  # type: ignore[union-attr]
    return kind in FACTS


def _call(function: Callable[..., Any], argument: Any) -> Any:
    return function(argument)


class Execution:
    """Drives one generator. `handle` one fact, take the actions, look at `outcome`."""

    __slots__ = ("_code", "_coro", "_input", "_waiting", "cancelled_timers", "outcome", "runner", "scheduler")

    def __init__(self, code: Code, started: WorkflowStarted, instance_id: str, runner: Runner = _call) -> None:
        self._code = code
        self._input = started.input
        self.scheduler = Scheduler(instance_id, started.run, started.generation, started.name, started.parent_id)
        self.scheduler.history_bytes = payload_bytes(started)
        self._coro: Any = None
        self._waiting: Task[Any] | None = None
        self.outcome: Outcome | None = None
        self.runner = runner
        self.cancelled_timers: list[int] = []  # timers of waits that were answered: task ids

    # -- facts ----------------------------------------------------------------------------------------------

    def handle(self, fact: Event) -> list[Action]:
        """Tell user code one fact and return what it asks for. After the end of user code facts change nothing."""
        if self.outcome is not None:
            return []
        scheduler = self.scheduler
        scheduler.now_us = max(scheduler.now_us, fact.at_us)
        scheduler.cause = fact.seq
        kind = type(fact)
        if kind is WorkflowStarted or kind is WorkflowBegun:
            self._step(self._first)
        else:
            scheduler.history_bytes += payload_bytes(fact)
            self._settle(fact)
            waiting = self._waiting
            if waiting is not None and waiting.is_complete:
                self._step(self._go_on)
        actions = scheduler.take_actions()
        if self.outcome is None:
            return actions
        # The end drops what was asked for beside it; what everybody can see of the instance stays.
        if isinstance(self.outcome, Parked):
            return []
        return [action for action in actions if isinstance(action, CustomStatusSet)]

    def _settle(self, fact: Event) -> None:
        """Complete the task that the fact is about."""
        kind = type(fact)
        scheduler = self.scheduler
        if kind is EventRaised:
            timer_id = scheduler.event_raised(fact)
            if timer_id:
                self.cancelled_timers.append(timer_id)
            return
        task = scheduler.open.pop(fact.task_id, None)  # type: ignore[union-attr]
        if task is None:
            return
        if kind is TimerFired:
            task._complete(None)
            scheduler.wait_timed_out(fact.task_id)  # type: ignore[union-attr]
        elif kind is ActivityCompleted or kind is ChildCompleted:
            task._complete(fact.output)  # type: ignore[union-attr]
        else:
            task._fail(_task_failed(scheduler.instance_id, fact))  # type: ignore[arg-type]

    # -- driving --------------------------------------------------------------------------------------------

    def _step(self, function: Callable[[Any], Any]) -> None:
        """The boundary of user code: one call of the runner per fact, whatever happens inside."""
        scheduler = self.scheduler
        scheduler.in_turn = True
        try:
            self.runner(function, None)
        except StallSignal as signal:
            self.outcome = Parked(signal.reason, f"{signal.detail} {where(signal)}".strip())
        except (RecursionError, MemoryError) as error:
            self.outcome = Parked("resources", f"{type(error).__name__} {where(error)}")
        except RuntimeError as error:
            text = text_of(error)
            if "event loop" in text or "parent task" in text:  # asyncio.sleep, gather, TaskGroup, where no loop runs
                self.outcome = Failed("TypeError", f"{TASKS_ONLY}: {ADVICE} ({text})", trace(error))
            else:
                self.outcome = Failed(type(error).__name__, text, trace(error))
        except Exception as error:  # noqa: BLE001 - whatever user code raises is its failure, not ours
            self.outcome = Failed(type(error).__name__, text_of(error), trace(error))
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like must not end the engine
            self.outcome = Parked("base exception", f"{type(error).__name__}({text_of(error)}) {where(error)}")
        finally:
            scheduler.in_turn = False

    def _first(self, _: None) -> None:
        try:
            self._coro = self._code.begin(self.scheduler, self._input)
        except StopIteration as stop:
            raise RuntimeError("the orchestrator raised StopIteration") from stop
        self._until_it_waits(self._coro.send, None)

    def _go_on(self, _: None) -> None:
        task, self._waiting = self._waiting, None
        self._until_it_waits(self._deliver, task)

    def _until_it_waits(self, resume: Callable[[Any], Any], argument: Any) -> None:
        """Resume until user code waits for something that is not there yet, or ends."""
        try:
            yielded = resume(argument)
            while True:
                if not isinstance(yielded, Task):
                    yielded = self._coro.throw(_not_a_task(yielded))
                elif yielded.is_complete:
                    yielded = self._deliver(yielded)
                else:
                    self._waiting = yielded
                    return
        except StopIteration as stop:
            value = stop.value
        self.outcome = self.scheduler.continuation or Completed(self._code.encode_output(value))

    def _deliver(self, task: Task[Any] | None) -> Any:
        try:
            value = task.get_result() if task is not None else None
        except Exception as error:  # noqa: BLE001 - user code gets what its task raised
            return self._coro.throw(error)
        return self._coro.send(value)

    # -- replay ---------------------------------------------------------------------------------------------

    def replay(self, history: Sequence[Event], handled_to: int) -> list[Action]:
        """Handle every fact up to seq `handled_to`; returns the actions that history does not have yet.

        Raises Diverged, with what history has, what the code asked, and where.
        """
        recorded = [event for event in history if isinstance(event, ACTIONS)]
        surplus: list[Action] = []
        position = 0
        self.scheduler.replaying = True
        for fact in history:
            if not is_fact(fact) or fact.seq > handled_to:
                continue
            for action in self.handle(fact):
                if position < len(recorded):
                    self._match(recorded[position], action)
                    position += 1
                else:
                    surplus.append(action)
            if position < len(recorded) and recorded[position].cause <= fact.seq:
                self._missing(recorded[position])
        if position < len(recorded) and not isinstance(self.outcome, Parked):
            self._missing(recorded[position])
        self.scheduler.replaying = False
        self.cancelled_timers.clear()
        return surplus

    def _match(self, recorded: Event, action: Action) -> None:
        if key(recorded) != key(action):
            raise Diverged(
                f"history has {description(recorded)} at event {recorded.seq}, the code asked for {description(action)} "
                f"{self.location()}"
            )

    def _missing(self, recorded: Event) -> None:
        if isinstance(self.outcome, Parked):
            return
        raise Diverged(
            f"history has {description(recorded)} at event {recorded.seq}, the code did not ask for it: {self._instead()}"
        )

    def _instead(self) -> str:
        """What user code did, and where."""
        outcome = self.outcome
        if outcome is None:
            return f"it asked for nothing {self.location()}"
        if isinstance(outcome, Failed):
            frames = [line.strip() for line in outcome.stack_trace.splitlines() if line.startswith("  File ")]
            return f"it raised {outcome.error_type}: {outcome.message} ({frames[-1] if frames else 'no line is known'})"
        code = getattr(getattr(self._coro, "inner", self._coro), "gi_code", None) or getattr(
            getattr(self._coro, "inner", self._coro), "cr_code", None
        )
        return f"it returned (function at {code.co_filename}:{code.co_firstlineno})" if code else "it returned"

    # -- looking and letting go -----------------------------------------------------------------------------

    def location(self) -> str:
        """ "(at file:line)" of where user code stands, innermost frame of the user's own chain."""
        coro, place = getattr(self._coro, "inner", self._coro), ""
        while coro is not None:
            frame = getattr(coro, "gi_frame", None) or getattr(coro, "cr_frame", None)
            if frame is not None:
                place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            inner = getattr(coro, "gi_yieldfrom", None) or getattr(coro, "cr_await", None)
            coro = inner if hasattr(inner, "gi_frame") or hasattr(inner, "cr_frame") else None
            if coro is not None and (getattr(coro, "gi_code", None) or getattr(coro, "cr_code", None)) is _AWAIT_CODE:
                break  # Task.__await__ itself: the line that awaits is the user's
        return f"(at {place})" if place else ""

    @property
    def waiting(self) -> Task[Any] | None:
        return self._waiting

    def close(self) -> None:
        """Seal, then close the generator; whatever it does is ignored. Call where user code may run."""
        self.scheduler.seal()
        coro, self._coro = self._coro, None
        if coro is not None:
            try:
                self.runner(_close, coro)
            except BaseException:  # noqa: BLE001, S110 - `finally` blocks of an evicted instance have no say
                pass


_AWAIT_CODE = Task.__await__.__code__


CLOSE_TRIES = 100
UNCLOSABLE: list[Any] = []  # generators that yield whenever they are closed: kept, or the interpreter complains of each


def _close(coro: Any) -> None:
    """Close it, also when it yields in a `finally`: what it asks for there is ignored."""
    for _ in range(CLOSE_TRIES):
        try:
            coro.close()
        except RuntimeError:  # "generator ignored GeneratorExit", or its own: then the next try finds it ended
            continue
        return
    UNCLOSABLE.append(getattr(coro, "inner", coro))


TASKS_ONLY = "an orchestrator yields or awaits tasks of its ctx"
ADVICE = (
    "instead of asyncio.sleep use ctx.create_timer, instead of asyncio.gather use wf.when_all, for everything else an "
    "activity"
)


def _not_a_task(yielded: Any) -> TypeError:
    return TypeError(f"{TASKS_ONLY}, not {type(yielded).__name__}: {ADVICE}")


def _task_failed(instance_id: str, fact: ActivityFailed | ChildFailed) -> TaskFailedError:
    kind = "Activity task" if isinstance(fact, ActivityFailed) else "Child workflow task"
    return TaskFailedError(
        f"{instance_id}: {kind} #{fact.task_id} failed: {fact.error_message}",
        FailureDetails(fact.error_message, fact.error_type, fact.stack_trace or None),
    )
