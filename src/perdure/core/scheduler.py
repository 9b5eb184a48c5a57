"""What user code can ask for. Each call becomes an action (an event with its cause) and, mostly, a task.

The scheduler knows JSON text and numbers; the authoring context turns it into Python. Once sealed it gives out tasks
that nothing will ever complete and records nothing: code that runs while its generator is being closed changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from perdure.core.awaitables import Task
from perdure.core.errors import HistoryFull, TooManyActions
from perdure.core.events import (
    ActivityScheduled,
    ChildScheduled,
    CustomStatusSet,
    RetrySpec,
    TimerCreated,
)
from perdure.core.limits import (
    ACTIONS_PER_TURN_MAX,
    CHILDREN_MAX,
    HISTORY_BYTES_MAX,
    HISTORY_EVENTS_MAX,
    OPEN_STEPS_MAX,
)
from perdure.core.sizes import payload_bytes, text_bytes

__all__ = ["Continuation", "Scheduler", "Waiter"]

Decode = Callable[[Any], Any] | None
Action = ActivityScheduled | TimerCreated | ChildScheduled | CustomStatusSet


class Waiter:
    """One wait_for_external_event. `timer_id` is the task id of the timer that bounds it, 0 if none."""

    __slots__ = ("name", "since_us", "task", "timer_id")

    def __init__(self, name: str, task: Task[Any], timer_id: int, since_us: int) -> None:
        self.name = name
        self.task = task
        self.timer_id = timer_id
        self.since_us = since_us


class Continuation:
    """continue_as_new was called."""

    __slots__ = ("input", "save_events")

    def __init__(self, input: str, save_events: bool) -> None:
        self.input = input
        self.save_events = save_events


class Scheduler:
    """The recorder behind an orchestrator's context; one per generation."""

    __slots__ = (
        "actions", "buffer", "buffered_bytes", "cause", "children", "continuation", "generation", "history_bytes", "in_turn",
        "instance_id", "next_task_id", "now_us", "open", "parent_id", "replaying", "run", "sealed", "waiters", "waits",
        "workflow_name",
    )  # fmt: skip

    def __init__(self, instance_id: str, run: str, generation: int, workflow_name: str, parent_id: str) -> None:
        self.instance_id = instance_id
        self.run = run
        self.generation = generation
        self.workflow_name = workflow_name
        self.parent_id = parent_id
        self.now_us = 0  # time of the fact being handled
        self.cause = 0  # and its seq
        self.replaying = False
        self.sealed = False
        self.in_turn = True  # user code is being resumed; what is asked for at other times no history could explain
        self.next_task_id = 1
        self.actions: list[Action] = []  # asked for while handling the present fact
        self.open: dict[int, Task[Any]] = {}  # by task id
        self.waiters: dict[str, deque[Waiter]] = {}  # by lower-case event name
        self.buffer: dict[str, deque[Any]] = {}  # EventRaised nobody waited for yet, by lower-case name
        self.buffered_bytes = 0  # data of those
        self.waits = 0  # waiters, of all names
        self.children = 0  # that this generation has asked for
        self.history_bytes = (
            0  # payloads that user code was told and has asked for: a function of its facts, like all else
        )
        self.continuation: Continuation | None = None

    # -- asked for by the authoring context ---------------------------------------------------------------

    def call_activity(
        self, name: str, input: str, *, queue: str, timeout_us: int, retry: RetrySpec | None, decode: Decode
    ) -> Task[Any]:
        task_id = self._new_step()
        self._ask(
            ActivityScheduled(
                self.run, self.generation, 0, 0, self.cause, task_id, name, input, queue, timeout_us, retry
            )
        )
        return self._opened(Task(task_id, name, decode))

    def call_child(self, name: str, input: str, *, child_id: str, retry: RetrySpec | None, decode: Decode) -> Task[Any]:
        task_id = self._new_step()
        if self.children >= CHILDREN_MAX:
            raise TooManyActions(
                f"{self.instance_id!r} has started {CHILDREN_MAX} children in this generation: let some of them start "
                "the others, or go on with ctx.continue_as_new"
            )
        self.children += 1
        child_id = child_id or self._default_child_id(task_id)
        self._ask(ChildScheduled(self.run, self.generation, 0, 0, self.cause, task_id, name, child_id, input, retry))
        return self._opened(Task(task_id, name, decode))

    def create_timer(self, fire_at_us: int, *, event_name: str = "") -> Task[Any]:
        task_id = self._new_step()
        self._ask(TimerCreated(self.run, self.generation, 0, 0, self.cause, task_id, fire_at_us, event_name))
        return self._opened(Task(task_id, f"timeout of {event_name}" if event_name else "timer"))

    def wait_event(self, name: str, *, timeout_at_us: int | None, decode: Decode) -> Task[Any]:
        self._check_turn()
        key = name.lower()
        task: Task[Any] = Task(0, f"event {name}", decode)
        buffered = self.buffer.get(key)
        if buffered and not self.sealed:
            data = buffered.popleft().data
            self.buffered_bytes -= text_bytes(data)
            task._complete(data)
            if not buffered:
                del self.buffer[key]
            return task
        self._check_open()
        timer_id = 0
        if timeout_at_us is not None:
            timer_id = self.create_timer(timeout_at_us, event_name=name).task_id
        if not self.sealed:
            self.waiters.setdefault(key, deque()).append(Waiter(name, task, timer_id, self.now_us))
            self.waits += 1
        return task

    def continue_as_new(self, input: str, save_events: bool) -> None:
        self._check_turn()
        if not self.sealed:
            self.continuation = Continuation(input, save_events)

    def set_custom_status(self, value: str) -> None:
        self._check_turn()
        if self.sealed:
            return
        for action in self.actions:
            if isinstance(action, CustomStatusSet):  # the last one of a turn is the one anybody can see
                self.history_bytes += text_bytes(value) - text_bytes(action.value)
                action.value = value
                return
        self._check_bytes()
        self._ask(CustomStatusSet(self.run, self.generation, 0, 0, self.cause, value))

    def seal(self) -> None:
        """From here on nothing user code does has any effect."""
        self.sealed = True
        self.actions = []

    # -- told by the execution ----------------------------------------------------------------------------

    def event_raised(self, event: Any) -> int:
        """Give an event to its first waiter, else keep it. Returns the timer id that bounded the wait, or 0."""
        key = event.name.lower()
        waiting = self.waiters.get(key)
        if not waiting:
            self.buffer.setdefault(key, deque()).append(event)
            self.buffered_bytes += text_bytes(event.data)
            return 0
        waiter = waiting.popleft()
        self.waits -= 1
        self.open.pop(waiter.timer_id, None)  # nobody waits for its time-out any more
        if not waiting:
            del self.waiters[key]
        waiter.task._complete(event.data)
        return waiter.timer_id

    def wait_timed_out(self, timer_id: int) -> None:
        """The timer of a wait has fired: that waiter gives up; a late event stays buffered."""
        for key, waiting in self.waiters.items():
            for waiter in waiting:
                if waiter.timer_id == timer_id:
                    waiting.remove(waiter)
                    self.waits -= 1
                    if not waiting:
                        del self.waiters[key]
                    waiter.task._fail(TimeoutError(f"no event {waiter.name!r} came in time"))
                    return

    def take_actions(self) -> list[Action]:
        taken, self.actions = self.actions, []
        return taken

    @property
    def buffered(self) -> int:
        return sum(map(len, self.buffer.values()))

    # ------------------------------------------------------------------------------------------------------

    def _check_turn(self) -> None:
        if not self.in_turn and not self.sealed:
            raise RuntimeError(
                f"ctx of {self.instance_id!r} is used outside its turn: only the orchestrator's own code may, while it runs"
            )

    def _new_step(self) -> int:
        self._check_turn()
        if self.cause >= HISTORY_EVENTS_MAX:
            raise HistoryFull(
                f"the history of {self.instance_id!r} has {self.cause} events, the limit is {HISTORY_EVENTS_MAX}: "
                "use ctx.continue_as_new to go on with a fresh one"
            )
        self._check_bytes()
        self._check_open()
        if len(self.actions) >= ACTIONS_PER_TURN_MAX:
            raise TooManyActions(
                f"{self.instance_id!r} asked for more than {ACTIONS_PER_TURN_MAX} steps at once: fan out in parts, "
                "or through child workflows"
            )
        task_id = self.next_task_id
        self.next_task_id += 1
        return task_id

    def _check_bytes(self) -> None:
        if self.history_bytes >= HISTORY_BYTES_MAX:
            raise HistoryFull(
                f"the history of {self.instance_id!r} holds {self.history_bytes:,} bytes of payloads, the limit is "
                f"{HISTORY_BYTES_MAX:,}: use ctx.continue_as_new to go on with a fresh one"
            )

    def _check_open(self) -> None:
        if len(self.open) + self.waits >= OPEN_STEPS_MAX:
            raise TooManyActions(
                f"{self.instance_id!r} has {OPEN_STEPS_MAX} steps and waits that have not ended: wait for some of them "
                "first, or fan out through child workflows"
            )

    def _ask(self, action: Action) -> None:
        if not self.sealed:
            self.actions.append(action)
            self.history_bytes += payload_bytes(action)

    def _opened(self, task: Task[Any]) -> Task[Any]:
        if not self.sealed:
            self.open[task.task_id] = task
        return task

    def _default_child_id(self, task_id: int) -> str:
        """Dapr's form; from generation 1 on the generation is in it, or an earlier one's child would be meant."""
        if self.generation:
            return f"{self.instance_id}:{self.generation}:{task_id:04x}"
        return f"{self.instance_id}:{task_id:04x}"
