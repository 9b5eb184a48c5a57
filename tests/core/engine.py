"""The pure engine: instances, in-flight messages and timers as plain values, no asyncio, no clock, no disk.

It delivers every effect as the shell would: an ActivityTask is answered by an oracle, timers fire in time order, commands
to other instances arrive in order per sender and receiver; everything else overtakes everything. Which message is next is
a seed's choice, so one seed is one interleaving. `log` is what was delivered: `redeliver` decides it again in other batches,
with evictions, with repeats.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from perdure.codec.avro import decode, encode
from perdure.core.commands import (
    Command,
    CompleteActivity,
    FailActivity,
    FireTimer,
    RaiseEvent,
    StartWorkflow,
)
from perdure.core.decide import Rejection
from perdure.core.effects import ActivityTask, CancelTimer, Effect, SendCommand, SetTimer
from perdure.core.events import Event, WorkflowStarted
from perdure.core.execution import _call as call
from perdure.core.instance import Instance
from perdure.core.turn import Live, Request, Turn, live_from_history, live_from_row
from perdure.workflow.app import App
from perdure.workflow.code import Library

__all__ = ["SECOND", "T0", "Engine", "Entry", "call", "generations", "kinds", "one", "redeliver", "second", "state_of"]

T0 = 1_700_000_000_000_000
SECOND = 1_000_000


def second(count: float = 1) -> timedelta:
    return timedelta(seconds=count)


@dataclass(slots=True)
class Entry:
    """One command as it was delivered, and how it was answered."""

    instance_id: str
    command: Command
    origin: str
    now_us: int
    rejection: Rejection | None = None


Oracle = Callable[[ActivityTask], CompleteActivity | FailActivity]


def echo(task: ActivityTask) -> CompleteActivity:
    """Every activity gives back its input."""
    return CompleteActivity(task.run, task.generation, task.task_id, task.attempt, task.input)


class Engine:
    """Deliver by hand (`tell`), or let a seed do it (`run`)."""

    def __init__(
        self,
        library: Any,
        *,
        seed: int = 0,
        oracle: Oracle = echo,
        evict: float = 0.0,
        codec: bool = True,
        skew: float = 0.0,
    ) -> None:
        self.library = library if not isinstance(library, App) else Library(library)
        self.rng = random.Random(seed)
        self.oracle = oracle
        self.evict = evict
        self.codec = codec
        self.skew = skew  # seconds by which an owner's clock may be behind another's
        self.now_us = T0
        self.offset = 0
        self.lives: dict[str, Live] = {}
        self.history: dict[str, list[Event]] = {}  # of an id: every run, every generation
        self.commits: dict[str, list[int]] = {}  # lengths of that history after each turn
        self.effects: dict[str, list[Effect]] = {}
        self.channels: dict[Any, deque[tuple[str, Command]]] = {}
        self.timers: dict[tuple[Any, ...], SetTimer] = {}
        self.log: list[Entry] = []
        self.after_turn: Callable[[Engine, str, Turn], None] = lambda _engine, _id, _turn: None
        self.runner = call

    # -- by hand --------------------------------------------------------------------------------------------

    def tell(self, instance_id: str, *commands: Command) -> list[Event]:
        """One batch for one instance; its effects go on their way. Returns the new events."""
        entries = [self._entry(instance_id, command) for command in commands]
        return self.deliver(instance_id, entries)

    def start(self, instance_id: str, name: str, input: str = "", **fields: Any) -> list[Event]:
        """As our clients do: under a command_id, and to be told of the answer."""
        fields.setdefault("command_id", f"start {instance_id}")
        fields.setdefault("reply_to", "0/client")
        return self.tell(instance_id, StartWorkflow(name, input, **fields))

    def answer(self, instance_id: str = "") -> Rejection | None:
        """How the latest command was answered: None is accepted."""
        return self.log[-1].rejection

    def reason(self) -> str:
        rejection = self.log[-1].rejection
        return rejection.reason if rejection else "accepted"

    def instance(self, instance_id: str) -> Instance:
        return self.live(instance_id).instance

    def run_of(self, instance_id: str) -> str:
        return self.instance(instance_id).run

    def complete(self, instance_id: str, task_id: int, output: str = "", attempt: int = 1) -> list[Event]:
        place = self.instance(instance_id)
        return self.tell(instance_id, CompleteActivity(place.run, place.generation, task_id, attempt, output))

    def fail(
        self, instance_id: str, task_id: int, attempt: int = 1, error: str = "ValueError", **more: Any
    ) -> list[Event]:
        place = self.instance(instance_id)
        return self.tell(instance_id, FailActivity(place.run, place.generation, task_id, attempt, error, "no", **more))

    def fire(self, instance_id: str, kind: str = "timer", task_id: int | None = None) -> list[Event]:
        """Fire the earliest timer that is set for the instance, moving the clock to it."""
        due = sorted(
            (timer.fire_at_us, key) for key, timer in self.timers.items()
            if key[0] == instance_id and timer.kind == kind and task_id in (None, timer.task_id)
        )  # fmt: skip
        fire_at, key = due[0]
        self.now_us = max(self.now_us, fire_at)
        return self.tell(instance_id, _fired(self.timers.pop(key)))

    def raised(self, instance_id: str, name: str, data: str = "", command_id: str = "") -> list[Event]:
        return self.tell(instance_id, RaiseEvent(name, data, command_id))

    def sent(self, instance_id: str, kind: type | None = None) -> list[Any]:
        """Effects of an instance so far, SendCommand as (receiver, command)."""
        found = [
            (effect.instance_id, effect.command) if isinstance(effect, SendCommand) else effect
            for effect in self.effects.get(instance_id, [])
        ]
        return [
            each for each in found if kind is None or isinstance(each[1] if isinstance(each, tuple) else each, kind)
        ]

    # -- by a seed ------------------------------------------------------------------------------------------

    def post(self, instance_id: str, command: Command, channel: Any = None) -> None:
        """Put a message in flight. Messages of one channel keep their order; None: a channel of its own."""
        key = channel if channel is not None else ("alone", len(self.log), self.rng.random())
        self.channels.setdefault(key, deque()).append((instance_id, command))

    def step(self) -> bool:
        """Deliver one message, or fire the earliest timer; False when there is neither."""
        if self.channels and not (self.timers and self.rng.random() < 0.02):
            self._deliver_some()
        elif self.timers:
            self._fire_earliest()
        else:
            return False
        return True

    def run(self, steps: int = 10_000) -> None:
        """Deliver until nothing is in flight and no timer is set."""
        while self.step():
            steps -= 1
            assert steps, "the engine never comes to rest"

    def _deliver_some(self) -> None:
        key = self.rng.choice(list(self.channels))
        channel = self.channels[key]
        instance_id, command = channel.popleft()
        if not channel:
            del self.channels[key]
        self.tell(instance_id, command)

    def _fire_earliest(self) -> None:
        key = min(self.timers, key=lambda each: (self.timers[each].fire_at_us, each))
        timer = self.timers.pop(key)
        self.now_us = max(self.now_us, timer.fire_at_us)
        self.post(key[0], _fired(timer))

    # -- a turn ---------------------------------------------------------------------------------------------

    def deliver(self, instance_id: str, entries: list[Entry]) -> list[Event]:
        """One batch; a turn that ends early for want of history is continued after a reload."""
        events: list[Event] = []
        self.log += entries
        while entries:
            live = self.live(instance_id)
            requests = [Request(entry.command, entry.origin) for entry in entries]
            turn = Turn(live, requests, entries[0].now_us, self.library, self.runner)
            turn.run()
            assert turn.answers, "a turn answers at least one request"
            for entry, answer in zip(entries, turn.answers, strict=False):
                entry.rejection = answer.rejection
            entries = entries[len(turn.answers) :]
            self.commit(instance_id, turn)
            events += turn.events
        return events

    def commit(self, instance_id: str, turn: Turn) -> None:
        """Record what a turn decided, and send its effects on their way."""
        recorded = [decode(encode(event)) if self.codec else event for event in turn.events]
        self.history.setdefault(instance_id, []).extend(recorded)
        self.commits.setdefault(instance_id, []).append(len(self.history[instance_id]))
        effects = [_through_avro(effect) if self.codec else effect for effect in turn.effects]
        self.effects.setdefault(instance_id, []).extend(effects)
        for effect in effects:
            self._effect(instance_id, effect)
        self.after_turn(self, instance_id, turn)
        if self.rng.random() < self.evict:
            self.reload(instance_id)
            if self.rng.random() < 0.3:
                self.make_live(instance_id)

    def _effect(self, instance_id: str, effect: Effect) -> None:
        if isinstance(effect, ActivityTask):
            self.post(instance_id, self.oracle(effect))
        elif isinstance(effect, SendCommand):
            self.post(effect.instance_id, effect.command, (instance_id, effect.instance_id))
        elif isinstance(effect, SetTimer):
            self.timers[_timer_key(instance_id, effect)] = effect
        else:
            self.timers.pop(_timer_key(instance_id, effect), None)

    def live(self, instance_id: str) -> Live:
        if instance_id not in self.lives:
            self.lives[instance_id] = Live(Instance(instance_id))
        if self.lives[instance_id].needs_history:
            self.reload(instance_id)
        return self.lives[instance_id]

    def reload(self, instance_id: str) -> Live:
        """Drop what is in memory and make it again of what was recorded."""
        old = self.lives[instance_id]
        if old.instance.started is None:
            return old
        row = old.instance.row()
        ended = bool(old.instance.ended)
        old.close()
        if ended:
            live = live_from_row(decode(encode(row)))
        else:
            live = live_from_history(instance_id, self.generation(instance_id))
        self.lives[instance_id] = live
        return live

    def make_live(self, instance_id: str) -> None:
        """A turn without requests, as `describe` asks for: user code is replayed, and nothing is decided."""
        turn = Turn(self.live(instance_id), [], self.now_us, self.library, self.runner)
        turn.run()
        assert (turn.events, turn.effects, turn.answers) == ([], [], [])

    def close(self) -> None:
        """Let all user code go, as a process does that shuts down."""
        for live in self.lives.values():
            live.close()

    def generation(self, instance_id: str) -> list[Event]:
        """The recorded events of the latest generation."""
        return generations(self.history[instance_id])[-1]

    def _entry(self, instance_id: str, command: Command) -> Entry:
        self.offset += 1
        behind = int(self.rng.random() * self.skew * SECOND) if self.skew else 0
        return Entry(instance_id, command, f"0.0.{self.offset}", self.now_us - behind)


def generations(history: Iterable[Event]) -> list[list[Event]]:
    """A recorded history, cut at every WorkflowStarted."""
    found: list[list[Event]] = []
    for event in history:
        if isinstance(event, WorkflowStarted):
            found.append([])
        found[-1].append(event)
    return found


def redeliver(
    log: list[Entry], library: Any, *, seed: int, evict: float = 0.0, batches: bool = False, repeats: float = 0.0
) -> Engine:
    """Decide a log again: the same commands in the same order, in batches of random borders, evicting at random.

    `repeats`: what was accepted comes again. (What was rejected had no effect, and may fit when it comes again.)
    """
    engine = Engine(library, seed=seed, evict=evict)
    rng, start = engine.rng, 0
    while start < len(log):
        end = start + 1
        while batches and end < len(log) and log[end].now_us == log[start].now_us and rng.random() < 0.7:
            end += 1
        turns: dict[str, list[Entry]] = {}
        for entry in log[start:end]:
            again = Entry(entry.instance_id, entry.command, entry.origin, entry.now_us)
            turns.setdefault(entry.instance_id, []).append(again)
        for instance_id, entries in turns.items():
            engine.deliver(instance_id, entries)
        accepted = [entry for entry in log[:end] if entry.rejection is None]
        while rng.random() < repeats:
            old = rng.choice(accepted)
            again = Entry(old.instance_id, old.command, f"repeat of {old.origin}", log[start].now_us)
            engine.deliver(old.instance_id, [again])
        start = end
    return engine


def one(*workflows: Callable[..., Any], **options: Any) -> Engine:
    """An engine with these orchestrators, under their own names."""
    app = App()
    for workflow in workflows:
        app.add_workflow(workflow)
    return Engine(Library(app), **options)


def kinds(events: Iterable[Any]) -> list[str]:
    """The names of the events' types: what most tests are about."""
    return [type(event).__name__ for event in events]


def state_of(instance: Instance) -> dict[str, Any]:
    """Everything a fold of events gives, comparable."""
    found = {name: getattr(instance, name) for name in Instance.__slots__ if name != "open"}
    found["open"] = {
        task_id: (task.asked, task.attempt, task.retry_at_us, task.since_us) for task_id, task in instance.open.items()
    }
    return found


def _through_avro(effect: Effect) -> Effect:
    """As the receiver will see it: what cannot be encoded fails here."""
    if isinstance(effect, SendCommand):
        return SendCommand(effect.instance_id, decode(encode(effect.command)))
    return decode(encode(effect))  # type: ignore[no-any-return]


def _fired(timer: SetTimer) -> FireTimer:
    return FireTimer(timer.run, timer.generation, timer.task_id, timer.attempt, timer.kind, timer.fire_at_us)


def _timer_key(instance_id: str, timer: SetTimer | CancelTimer) -> tuple[Any, ...]:
    return (instance_id, timer.run, timer.generation, timer.task_id, timer.attempt, timer.kind)
