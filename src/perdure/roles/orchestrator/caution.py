"""When owners die one after the other before their first commit: somebody's code kills the process.

Then commands are decided one at a time, and before each the log is told whose turn it is. The owner that finds such a
name in the last marker parks that instance without running its code. Caution ends with the last command that was there
when it began.
"""

from __future__ import annotations

from perdure.core.events import BatchCommitted
from perdure.core.limits import TAKEOVERS_BEFORE_CAUTION
from perdure.roles.orchestrator.position import Position

__all__ = ["Caution"]


class Caution:
    """`end` is the end of instances[p] at the takeover; `idle`: nothing was left there to decide.

    `lived`: this process has served the partition before. A commit that failed ended that tenure, and nobody died.
    """

    def __init__(self, marker: BatchCommitted, end: int, *, idle: bool, lived: bool) -> None:
        died = 0 if lived else 1
        self.takeovers = 0 if idle else marker.takeovers + died  # whoever had nothing to do died of nothing
        self.killer = "" if lived else marker.trying
        self._end = end if self.killer or self.takeovers + 1 - died > TAKEOVERS_BEFORE_CAUTION else 0

    @property
    def on(self) -> bool:
        return self._end > 0

    @property
    def takeovers_while_on(self) -> int:
        """What a batch's marker says: caution outlives another death."""
        return TAKEOVERS_BEFORE_CAUTION if self.on else 0

    def look(self, position: Position, offset: int) -> None:
        """Before the request at `offset` is decided: is everything from before the takeover behind us?"""
        if offset >= self._end and not any(each < self._end for each in position.undecided):
            self._end = 0

    def is_killer(self, instance_id: str) -> bool:
        """Once."""
        if instance_id != self.killer:
            return False
        self.killer = ""
        return True
