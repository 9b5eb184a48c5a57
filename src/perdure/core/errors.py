"""The root of every error that Perdure raises at a user, and those that its core knows."""

__all__ = [
    "FailureDetails",
    "HistoryFull",
    "NonRetryableError",
    "PayloadError",
    "PayloadTooLarge",
    "PerdureError",
    "TaskFailedError",
    "TooManyActions",
]  # fmt: skip


class PerdureError(Exception):
    """Base of Perdure's own errors."""


class PayloadError(PerdureError, TypeError):
    """A value that JSON cannot hold, or JSON that does not fit the annotation."""


class PayloadTooLarge(PerdureError, ValueError):
    """An encoded payload over the limit: store it elsewhere and pass a reference."""


class HistoryFull(PerdureError):
    """The generation's history has reached its cap: continue_as_new starts a fresh one."""


class TooManyActions(PerdureError):
    """One turn asked for more steps than a commit may hold: fan out in parts, or through child workflows."""


class NonRetryableError(PerdureError):
    """Raise it (or a subclass) in an activity to fail the task at once, whatever its retry policy."""


class FailureDetails:
    """What is known of a failure: `message`, `error_type` (the class's name) and `stack_trace` (text, maybe None)."""

    __slots__ = ("error_type", "message", "stack_trace")

    def __init__(self, message: str, error_type: str, stack_trace: str | None) -> None:
        self.message = message
        self.error_type = error_type
        self.stack_trace = stack_trace

    def __repr__(self) -> str:
        return f"FailureDetails(error_type={self.error_type!r}, message={self.message!r})"


class TaskFailedError(PerdureError):
    """A task that user code waited for has failed; thrown into the orchestrator. `details` tells how."""

    def __init__(self, message: str, details: FailureDetails) -> None:
        super().__init__(message)
        self.details = details
