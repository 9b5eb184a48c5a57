"""Effects: what the shell must do after a decision. Values; nothing happens by making one.

ActivityTask, SetTimer and CancelTimer are also the Avro records of the topics `activities` and `timers`
(`schemas/task/`), the instance id being the key there; `SendCommand` becomes a record of `instances`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from perdure.core.commands import Command

__all__ = ["TIMER_KINDS", "ActivityTask", "CancelTimer", "Effect", "SendCommand", "SetTimer", "TimerRequest"]

TIMER_KINDS: Final = ("timer", "retry", "lease", "start")
"""timer: create_timer and event time-outs · retry: the pause before the next attempt · lease: an activity attempt's
deadline or its worker's sign of life · start: a delayed start."""


@dataclass(slots=True)
class ActivityTask:
    """One attempt of one activity, for any worker of its queue. The key is the instance id."""

    run: str
    generation: int
    task_id: int
    attempt: int
    name: str
    workflow_name: str
    input: str = ""
    timeout_us: int = 0
    queue: str = ""
    scheduled_at_us: int = 0
    traceparent: str = ""
    refused_since_us: int = 0  # when a worker first did not know its name; 0: none yet
    tracestate: str = ""


@dataclass(slots=True)
class SetTimer:
    """Ask for a FireTimer at fire_at_us. (key, run, generation, task_id, attempt, kind) is its identity: setting it again moves it."""

    run: str
    generation: int
    task_id: int
    attempt: int
    kind: str
    fire_at_us: int


@dataclass(slots=True)
class CancelTimer:
    """Forget a timer; fire_at_us is where it was set to. One that fired already is harmless."""

    run: str
    generation: int
    task_id: int
    attempt: int
    kind: str
    fire_at_us: int


@dataclass(slots=True)
class SendCommand:
    """A command to another instance, or to oneself."""

    instance_id: str
    command: Command


TimerRequest = SetTimer | CancelTimer
Effect = ActivityTask | SetTimer | CancelTimer | SendCommand
