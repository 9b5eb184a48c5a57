"""Commands: messages that ask. Imperative. Each is one Avro record in `schemas/command/`.

The instance id is not in a command: it is the record's key. `""` and `0` mean "absent" throughout, because a
union costs more than it tells. Payloads are JSON text; `""` is "no payload" (JSON text is never empty).
Times are microseconds since the epoch, UTC.

A command answers to its `reply_to` (see `perdure.core.replies`) under its `command_id`. A repeat of a
`command_id` gets the first answer and has no second effect.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "NOT_FOR_STRANGERS",
    "BeginGeneration",
    "ClientCommand",
    "Command",
    "CompleteActivity",
    "CompleteChild",
    "FailActivity",
    "FailChild",
    "FireTimer",
    "InspectInstance",
    "PurgeWorkflow",
    "RaiseEvent",
    "RecoverWorkflow",
    "ReissueSteps",
    "ResumeWorkflow",
    "StartWorkflow",
    "SuspendWorkflow",
    "TerminateWorkflow",
]  # fmt: skip


@dataclass(slots=True)
class StartWorkflow:
    """Begin a new run of the instance. Rejected while a run is active."""

    name: str
    input: str = ""
    command_id: str = ""
    reply_to: str = ""
    requested_by: str = ""
    minted: bool = False  # the id was made by our client and carries its time (uuid7)
    start_at_us: int = 0  # 0: now
    parent_id: str = ""  # these five: the parent's step that asked, for a child
    parent_run: str = ""
    parent_generation: int = 0
    parent_task_id: int = 0
    parent_attempt: int = 0
    rerun_of: str = ""
    traceparent: str = ""
    tracestate: str = ""
    reuse_id: str = ""  # when the id existed before: "never" | "ended"; "": ended where an answer is wanted, else never


@dataclass(slots=True)
class RaiseEvent:
    """Deliver an external event: buffered, first in first out per name; names are case-insensitive."""

    name: str
    data: str = ""
    command_id: str = ""
    reply_to: str = ""
    requested_by: str = ""


@dataclass(slots=True)
class SuspendWorkflow:
    command_id: str = ""
    reply_to: str = ""
    requested_by: str = ""


@dataclass(slots=True)
class ResumeWorkflow:
    """End a suspension; a stalled instance is tried again."""

    command_id: str = ""
    reply_to: str = ""
    requested_by: str = ""


@dataclass(slots=True)
class TerminateWorkflow:
    """End the run now. With a parent_id it is recursion, obeyed only by that very parent's child."""

    output: str = ""
    recursive: bool = True
    command_id: str = ""
    reply_to: str = ""
    requested_by: str = ""
    parent_id: str = ""
    parent_run: str = ""
    parent_generation: int = 0
    parent_task_id: int = 0


@dataclass(slots=True)
class PurgeWorkflow:
    """Forget a finished run: history, payloads, status. Its run and start command stay known for 7 days."""

    recursive: bool = True
    command_id: str = ""
    reply_to: str = ""
    requested_by: str = ""
    parent_id: str = ""
    parent_run: str = ""
    parent_generation: int = 0
    parent_task_id: int = 0
    run: str = ""  # only this one, else StaleRun; "": whichever it is


@dataclass(slots=True)
class CompleteActivity:
    run: str
    generation: int
    task_id: int
    attempt: int
    output: str = ""


@dataclass(slots=True)
class FailActivity:
    run: str
    generation: int
    task_id: int
    attempt: int
    error_type: str
    error_message: str = ""
    stack_trace: str = ""
    retryable: bool = True


@dataclass(slots=True)
class CompleteChild:
    """From a child to its parent (the key); run, generation, task_id and attempt are the parent's."""

    run: str
    generation: int
    task_id: int
    attempt: int
    output: str = ""


@dataclass(slots=True)
class FailChild:
    run: str
    generation: int
    task_id: int
    attempt: int
    error_type: str
    error_message: str = ""
    stack_trace: str = ""
    retryable: bool = True


@dataclass(slots=True)
class FireTimer:
    """From the timer service. `kind` is one of `perdure.core.effects.TIMER_KINDS`."""

    run: str
    generation: int
    task_id: int
    attempt: int
    kind: str
    fire_at_us: int


@dataclass(slots=True)
class BeginGeneration:
    """Self-addressed after continue_as_new: run the next generation's code, in a batch of its own."""

    run: str
    generation: int


@dataclass(slots=True)
class RecoverWorkflow:
    """Try a stalled run again, under the code of this fingerprint."""

    run: str
    fingerprint: str


@dataclass(slots=True)
class ReissueSteps:
    """After a log was lost: ask again for all that the run has open. What was asked before and is still known has no second effect."""

    run: str


@dataclass(slots=True)
class InspectInstance:
    """Ask the owner for the instance's state: now, or once it has started or completed. Volatile: a reader may lose it."""

    command_id: str
    reply_to: str
    until: str = "now"  # "now" | "started" | "completed"
    detail: bool = False  # with what it awaits, for describe


ClientCommand = StartWorkflow | RaiseEvent | SuspendWorkflow | ResumeWorkflow | TerminateWorkflow | PurgeWorkflow
"""What may be asked from outside; the others are between the engine's own parts."""

NOT_FOR_STRANGERS = frozenset(
    ("minted", "parent_id", "parent_run", "parent_generation", "parent_task_id", "parent_attempt")
)
"""Fields of client commands that only our own clients and the engine may set: in JSON and Confluent's framing they are refused."""

Command = (
    ClientCommand | CompleteActivity | FailActivity | CompleteChild | FailChild | FireTimer | BeginGeneration
    | RecoverWorkflow | ReissueSteps | InspectInstance
)  # fmt: skip
