"""What can be made to go wrong with the next append or commit."""

from enum import Enum

from perdure.ports.errors import CommitFailed, CommitUnknown, PortError

__all__ = ["Fault"]


class Fault(Enum):
    """How a write fails. The caller sees the two unknown ones alike; only a read tells them apart."""

    FAILED = "not written, and the writer knows"
    UNKNOWN_WRITTEN = "written, but the answer was lost"
    UNKNOWN_NOT_WRITTEN = "not written, and nobody knows"

    @property
    def writes(self) -> bool:
        return self is Fault.UNKNOWN_WRITTEN

    def error(self) -> PortError:
        if self is Fault.FAILED:
            return CommitFailed("the broker refused the write: nothing was written")
        return CommitUnknown("no answer from the broker: open a new writer and read what is there")
