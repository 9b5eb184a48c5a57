"""What a client raises: one named error for each way in which the engine says no.

The table at the end is the only place where a rejection's reason becomes an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from perdure.core.errors import PayloadTooLarge, PerdureError

__all__ = [
    "CommandRejected", "DeadLetterNotFound", "DeadLetterNotReplayable", "DeadLetterNotSettled", "DeadLetterSettled", "EngineInternalError", "EngineNotFound", "EngineStopped", "EngineUnavailable",
    "EventBufferFull", "GatewayNeeded", "HistoryIsFull", "InstanceIdTooLong", "InstanceNotFound", "InvalidCommand",
    "InvalidInstanceId", "InvalidName", "NotFinished", "NotRunning", "TooManyWaiters", "Unauthorized", "UnknownWorkflowError", "UpgradeNeeded",
    "WorkflowAlreadyExists", "reason_of", "rejection_error",
]  # fmt: skip


class EngineNotFound(PerdureError):
    """No engine is named, configured, running in this process or listening at the default address."""


class EngineStopped(PerdureError):
    """The engine that this client belongs to was shut down."""


class EngineUnavailable(PerdureError, ConnectionError):
    """The gateway, or Kafka, cannot be reached; or the gateway says that its engine cannot."""


class GatewayNeeded(PerdureError):
    """A client over the log was asked for what lies in the history store, which only a gateway reaches."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} from the history store, which a client over the log does not reach: give the client a gateway's "
            "URL (`perdure run gateway` starts one)"
        )


class Unauthorized(PerdureError):
    """The gateway wants an API token, or another one: set PERDURE_API_TOKEN."""


class CommandRejected(PerdureError):
    """The engine refused. `reason` is one of `perdure.core.refusals.REJECTIONS`, or of `perdure.letters.Settlement`."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class InstanceNotFound(CommandRejected, LookupError):
    """No instance has this id: it never started, or was purged."""

    def __init__(self, message: str, reason: str = "UnknownInstance") -> None:
        super().__init__(message, reason)


class WorkflowAlreadyExists(CommandRejected):
    """A run with this id is active. A finished one can be started again."""


class UnknownWorkflowError(CommandRejected, LookupError):
    """No workflow of this name is registered with the engine."""


class NotRunning(CommandRejected):
    """The instance has ended: nothing can be asked of it but its state, its history and its purge."""


class NotFinished(CommandRejected):
    """The instance has not ended: terminate it before purging it."""


class EventBufferFull(CommandRejected):
    """Too many raised events that the workflow has not waited for."""


class HistoryIsFull(CommandRejected):
    """The instance's history takes nothing more but its end: its workflow should have used continue_as_new."""


class TooManyWaiters(CommandRejected):
    """Too many clients wait for the instance, or for instances of its partition: ask again later."""


class InvalidCommand(CommandRejected, ValueError):
    """`requested_by` or `rerun_of` is too long, a time lies beyond the year 9999, or `reuse_id` is none that there is."""


class InvalidPayload(CommandRejected, ValueError):
    """An input, event or output that is no JSON text, or is nested too deeply: this client's own are always sound."""


class InvalidName(CommandRejected, ValueError):
    """An empty or overlong workflow or event name."""


class InvalidInstanceId(CommandRejected, ValueError):
    """An id that a user may not choose: letters, digits, - and _, at most 64 of them."""

    def __init__(self, message: str, reason: str = "InvalidInstanceId") -> None:
        super().__init__(message, reason)


class InstanceIdTooLong(InvalidInstanceId):
    """An id with more characters than a user may choose, or more bytes than the engine itself derives."""


class DeadLetterNotFound(CommandRejected, LookupError):
    """There is no dead letter of this id, or retention has deleted it."""

    def __init__(self, message: str, reason: str = "UnknownLetter") -> None:
        super().__init__(message, reason)


class DeadLetterSettled(CommandRejected):
    """The dead letter was replayed or dropped before: that happens once."""


class DeadLetterNotReplayable(CommandRejected):
    """The dead letter was cut, or did not come from a topic that a replay writes to: it can only be dropped."""


class DeadLetterNotSettled(CommandRejected):
    """Somebody else settled letters of its partition meanwhile, or the log did not take it: ask again."""


class UpgradeNeeded(CommandRejected):
    """The command asks for what the namespace's write version cannot say yet: `perdure upgrade` raises that."""

    def __init__(self, message: str, reason: str = "UpgradeNeeded") -> None:
        super().__init__(message, reason)


class EngineInternalError(CommandRejected):
    """An unexpected error of the engine's own; its log tells more."""


def _too_large(message: str, reason: str) -> PerdureError:
    del reason
    return PayloadTooLarge(message)


_ERRORS: Final[dict[str, Callable[[str, str], PerdureError]]] = {
    "UnknownInstance": InstanceNotFound,
    "AlreadyExists": WorkflowAlreadyExists,
    "IdInUse": WorkflowAlreadyExists,
    "UnknownWorkflow": UnknownWorkflowError,
    "NotRunning": NotRunning,
    "NotFinished": NotFinished,
    "EventBufferFull": EventBufferFull,
    "HistoryFull": HistoryIsFull,
    "TooManyWaiters": TooManyWaiters,
    "InvalidCommand": InvalidCommand,
    "InvalidName": InvalidName,
    "InvalidInstanceId": InvalidInstanceId,
    "PayloadTooLarge": _too_large,
    "UnknownLetter": DeadLetterNotFound,
    "LetterSettled": DeadLetterSettled,
    "NotReplayable": DeadLetterNotReplayable,
    "LetterNotSettled": DeadLetterNotSettled,
    "InvalidPayload": InvalidPayload,
    "UpgradeNeeded": UpgradeNeeded,
    "Internal": EngineInternalError,
}


def rejection_error(reason: str, message: str) -> PerdureError:
    """The exception for a rejection; CommandRejected itself for a reason that only the engine's parts meet."""
    return _ERRORS.get(reason, CommandRejected)(message or reason, reason)


def reason_of(error: PerdureError) -> str:
    """The rejection that an exception stands for; `""` if it stands for none."""
    if isinstance(error, CommandRejected):
        return error.reason
    return "PayloadTooLarge" if isinstance(error, PayloadTooLarge) else ""
