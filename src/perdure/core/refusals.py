"""What a decision is made of, and every reason for which a command is refused.

Each check gives a Decision that refuses, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from perdure.core.clipping import clipped
from perdure.core.effects import Effect
from perdure.core.events import Event
from perdure.core.instance import Instance
from perdure.core.json_text import TOO_DEEP, json_value
from perdure.core.limits import (
    COMMAND_ID_BYTES_MAX,
    DERIVED_ID_BYTES_MAX,
    HISTORY_BYTES_MAX,
    HISTORY_EVENTS_MAX,
    INSTANCE_ID_CHARS_MAX,
    NAME_BYTES_MAX,
    NOTE_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    REASON_CHARS_MAX,
)
from perdure.core.sizes import text_bytes

__all__ = [
    "REJECTIONS", "Decision", "Moment", "Rejection", "bad_command_id", "bad_id", "bad_name", "bad_note", "bad_payload", "full",
    "refuse", "stale", "too_heavy", "too_large", "unknown",
]  # fmt: skip

REJECTIONS: Final = {
    "UnknownInstance": "no instance has this id",
    "AlreadyExists": "a run with this id is active",
    "IdInUse": "the id existed before, and the start carries no command_id or means to be the id's first",
    "UnknownWorkflow": "no workflow of this name is registered",
    "NotRunning": "the instance has ended",
    "NotFinished": "the instance has not ended",
    "StaleRun": "meant for an earlier run of the id",
    "StaleGeneration": "meant for an earlier generation",
    "TaskNotOpen": "the task has ended, or was never asked for",
    "StaleAttempt": "meant for an earlier attempt",
    "NotTheParent": "the sender is not this instance's parent",
    "EventBufferFull": "too many raised events nobody has waited for",
    "HistoryFull": "the history takes no more but the end",
    "TooManyWaiters": "too many clients wait for the instance, or for its partition",
    "InvalidCommand": "a note that is too long, a time that no calendar has, or a reuse_id that there is not",
    "InvalidCommandId": "an overlong command_id",
    "InvalidName": "an empty or overlong name",
    "InvalidInstanceId": "an empty, overlong or ill-formed instance id",
    "PayloadTooLarge": "the payload is over the limit",
    "InvalidPayload": "the payload is no JSON text, or is nested too deeply",
    "NotStalled": "the instance is not stalled",
    "Internal": "an unexpected error of the engine's own",
}

ID_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(slots=True)
class Moment:
    """Where and when a command is decided. `origin` is the run it would begin: "epoch.partition.offset"."""

    now_us: int
    origin: str
    registered: Callable[[str], bool]
    handled_to: int = 0  # seq of the last fact that user code was told
    buffered: int = 0  # raised events that nothing waits for yet
    buffered_bytes: int = 0  # their data


@dataclass(slots=True)
class Rejection:
    reason: str
    message: str


@dataclass(slots=True)
class Decision:
    """Facts to append (with their places) and effects; or a rejection; or nothing at all: a repeat."""

    events: list[Event] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    rejection: Rejection | None = None


def refuse(reason: str, message: str) -> Decision:
    return Decision(rejection=Rejection(reason, clipped(message, REASON_CHARS_MAX)))


def unknown(instance: Instance) -> Decision:
    return refuse("UnknownInstance", f"no workflow instance has the ID '{instance.instance_id}'")


def stale(instance: Instance, run: str, generation: int) -> Decision | None:
    if not instance.exists:
        return unknown(instance)
    if run != instance.run:
        return refuse("StaleRun", f"for run {run}, this is run {instance.run}")
    if generation != instance.generation:
        return refuse("StaleGeneration", f"for generation {generation}, this is generation {instance.generation}")
    if instance.ended:
        return refuse("NotRunning", f"'{instance.instance_id}' has ended: it is {instance.status}")
    return None


def bad_command_id(command_id: str) -> Decision | None:
    if len(command_id.encode()) <= COMMAND_ID_BYTES_MAX:
        return None
    return refuse("InvalidCommandId", f"a command_id has at most {COMMAND_ID_BYTES_MAX} bytes of UTF-8")


def bad_id(instance_id: str, *, child: bool) -> Decision | None:
    if child:
        if 0 < len(instance_id.encode()) <= DERIVED_ID_BYTES_MAX:
            return None
        return refuse("InvalidInstanceId", f"a child's instance id has 1 to {DERIVED_ID_BYTES_MAX} bytes of UTF-8")
    if 0 < len(instance_id) <= INSTANCE_ID_CHARS_MAX and ID_CHARACTERS.issuperset(instance_id):
        return None
    return refuse(
        "InvalidInstanceId",
        f"an instance id has 1 to {INSTANCE_ID_CHARS_MAX} characters out of letters, digits, - and _",
    )


def bad_name(name: str) -> Decision | None:
    if name and len(name.encode()) <= NAME_BYTES_MAX:
        return None
    return refuse("InvalidName", f"a name has 1 to {NAME_BYTES_MAX} bytes of UTF-8, this one has {len(name.encode())}")


def bad_note(note: str, what: str) -> Decision | None:
    if len(note.encode()) <= NOTE_BYTES_MAX:
        return None
    return refuse("InvalidCommand", f"{what} has at most {NOTE_BYTES_MAX} bytes of UTF-8")


def full(instance: Instance, *, times: int = 1) -> Decision | None:
    """Whether the history takes no more events. `times`: as many of them as the limit says."""
    if instance.next_seq <= HISTORY_EVENTS_MAX * times:
        return None
    return _history_full(instance)


def too_heavy(instance: Instance, more: str = "") -> Decision | None:
    """Whether the history has no room for another payload."""
    if instance.history_bytes + text_bytes(more) <= HISTORY_BYTES_MAX:
        return None
    return _history_full(instance)


def _history_full(instance: Instance) -> Decision:
    return refuse(
        "HistoryFull",
        f"the history of '{instance.instance_id}' has {instance.next_seq - 1:,} events with {instance.history_bytes:,} bytes "
        f"of payloads; the limits are {HISTORY_EVENTS_MAX:,} and {HISTORY_BYTES_MAX:,}. Its workflow has to use "
        "continue_as_new: correct it, terminate this run and start it again",
    )


def too_large(payload: str, what: str) -> Decision | None:
    # A character is at most four bytes: most payloads need no encoding to be known small.
    if len(payload) * 4 <= PAYLOAD_BYTES_MAX or len(payload.encode()) <= PAYLOAD_BYTES_MAX:
        return None
    return refuse(
        "PayloadTooLarge",
        f"the {what} has {len(payload.encode())} bytes, the limit is {PAYLOAD_BYTES_MAX}: store it elsewhere and pass a "
        "reference",
    )


def bad_payload(payload: str, what: str) -> Decision | None:
    """Of a client's command: user code could not read it. The engine's own were made by its encoder, or checked before."""
    if not payload:
        return None
    try:
        json_value(payload)
    except RecursionError:
        return refuse("InvalidPayload", f"the {what} {TOO_DEEP}")
    except ValueError as error:
        return refuse("InvalidPayload", f"the {what} is no JSON text: {error}")
    return None
