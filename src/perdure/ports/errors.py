"""Errors of the ports, by name. Each says what to do."""

from collections.abc import Mapping
from typing import Final

from perdure.core.errors import PerdureError

__all__ = [
    "REPAIR", "CommitFailed", "CommitUnknown", "DatabaseDamaged", "DatabaseInUse", "Fenced", "Forbidden", "HistoryDamaged",
    "LogClosed", "LogUnavailable", "NotAssigned", "OffsetOutOfRange", "PortError", "RecordTooLarge", "StoreUnavailable",
    "TopicMismatch", "TopicMissing",
]  # fmt: skip

REPAIR: Final = "Repair the store or restore it from a backup: the instance is read again with its next request"
"""What to do about a damaged history."""


class PortError(PerdureError):
    """Something outside the engine did not do what was asked."""


class TopicMissing(PortError):
    """The topic does not exist: `perdure bootstrap` creates it."""


class TopicMismatch(PortError):
    """The topic exists with another number of partitions than recorded; ids would move to other partitions."""


class NotAssigned(PortError):
    """The partition is not, or no longer, this member's."""


class OffsetOutOfRange(PortError):
    """The position lies below what the log still keeps."""


class Fenced(PortError):
    """A newer writer of the same transactional id exists: this owner is a zombie and stops."""


class CommitFailed(PortError):
    """The transaction was not written."""


class CommitUnknown(PortError):
    """Nobody knows whether the transaction was written; a new writer settles it."""


class RecordTooLarge(PortError):
    """A record is over the topic's limit; `index` is its place among those given."""

    def __init__(self, message: str, index: int = -1) -> None:
        super().__init__(message)
        self.index = index


class StoreUnavailable(PortError):
    """The history store did not answer in time; what is in memory goes on."""


class HistoryDamaged(PortError):
    """What is stored of these instances cannot be read; others can. `damages`: what is wrong, by instance."""

    def __init__(self, damages: Mapping[str, str]) -> None:
        some = "; ".join(f"of '{instance_id}' {damage}" for instance_id, damage in list(damages.items())[:3])
        more = f"; and {len(damages) - 3} others" if len(damages) > 3 else ""
        super().__init__(f"stored histories are damaged: {some}{more}. {REPAIR}")
        self.damages = dict(damages)


class LogUnavailable(PortError):
    """The brokers do not answer: nothing was done, or a write has its own name (CommitFailed, CommitUnknown). Repeat it."""


class Forbidden(LogUnavailable):
    """The user that this process runs as lacks a right: the text names it. Nothing but an operator changes that."""


class LogClosed(PortError):
    """The log was closed in this process."""


class DatabaseInUse(PortError):
    """Another process owns the database file."""


class DatabaseDamaged(PortError):
    """The file is not a Perdure database, or is damaged."""
