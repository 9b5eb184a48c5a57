"""Exit codes, and which error ends in which. The only place where an error becomes a code."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from perdure.client.errors import (
    CommandRejected,
    DeadLetterNotFound,
    EngineInternalError,
    InstanceNotFound,
    InvalidCommand,
    InvalidInstanceId,
    InvalidName,
    InvalidPayload,
    Unauthorized,
    UnknownWorkflowError,
)
from perdure.core.errors import PayloadError, PayloadTooLarge, PerdureError
from perdure.ports.errors import DatabaseInUse

__all__ = ["Conflict", "Exit", "NotThere", "Unusable", "UsageError", "exit_of"]


class Exit(IntEnum):
    """What a script may rely on (docs/cli.md)."""

    OK = 0
    FAILED = 1  # the workflow that was waited for has failed, or was terminated
    USAGE = 2  # the command line, or something it names, is wrong
    NOT_FOUND = 3  # no instance, workflow or file of that name
    UNREACHABLE = 4  # no engine answers, or what it stands on cannot be used
    REJECTED = 5  # the engine said no, or another program has what is asked for
    TIMEOUT = 6  # not in the time given
    DEFECT = 70  # an error that nobody foresaw; its traceback is shown
    INTERRUPTED = 130  # Ctrl-C; what was asked of the engine before goes on


class UsageError(PerdureError, ValueError):
    """What the user wrote is wrong; the text says where."""


class NotThere(PerdureError, LookupError):
    """What the command line names does not exist."""


class Conflict(PerdureError):
    """Another program has what is asked for."""


class Unusable(PerdureError):
    """The engine cannot be started, or cannot go on."""


_EXITS: Final[tuple[tuple[type[Exception], Exit], ...]] = (
    (InstanceNotFound, Exit.NOT_FOUND),
    (UnknownWorkflowError, Exit.NOT_FOUND),
    (DeadLetterNotFound, Exit.NOT_FOUND),
    (NotThere, Exit.NOT_FOUND),
    (UsageError, Exit.USAGE),
    (InvalidInstanceId, Exit.USAGE),
    (InvalidName, Exit.USAGE),
    (InvalidCommand, Exit.USAGE),
    (InvalidPayload, Exit.USAGE),
    (PayloadTooLarge, Exit.USAGE),
    (PayloadError, Exit.USAGE),
    (EngineInternalError, Exit.UNREACHABLE),
    (CommandRejected, Exit.REJECTED),
    (Unauthorized, Exit.REJECTED),
    (Conflict, Exit.REJECTED),
    (DatabaseInUse, Exit.REJECTED),
    (TimeoutError, Exit.TIMEOUT),
    (PerdureError, Exit.UNREACHABLE),  # what keeps an engine from starting, or from going on
    (ValueError, Exit.USAGE),  # the client's word for a wrong status, page, limit or address
)
"""The first that fits decides: subclasses come before their bases."""


def exit_of(error: Exception) -> Exit:
    """How a command ends that raised this."""
    return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.DEFECT)
