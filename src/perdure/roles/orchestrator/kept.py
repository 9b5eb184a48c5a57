"""What a partition leaves in memory when it is revoked, in case the group hands it back.

A rebalance takes every partition from every member and returns most of them at once; to replay all their instances for
that would cost more than the rebalance. **Law.** What was left is used again only if the last marker of history[p] is
the very one it was left at, and all below it is stored: then nobody has decided anything since, and memory, log and store
say the same. That is asked after the writer was opened, which keeps everybody else out.
"""

from __future__ import annotations

from dataclasses import dataclass

from perdure.core.turn import Live
from perdure.roles.orchestrator.memory import Memory
from perdure.roles.orchestrator.takeover import ResumePoint
from perdure.roles.orchestrator.waiters import Waiters

__all__ = ["Kept"]


@dataclass(slots=True)
class Kept:
    """Of one partition, between two assignments to the same process."""

    memory: Memory
    marker_offset: int
    waiters: Waiters  # clients that wait go on waiting, whether the memory is good or not

    def is_current(self, point: ResumePoint) -> bool:
        """Whether the log stands where this was left. Offsets never repeat, so the offset alone tells."""
        return point.marker_offset == self.marker_offset and not point.tail

    @property
    def running(self) -> list[Live]:
        """Those whose code has to be closed if this is not used again."""
        return [live for live in self.memory.lives.values() if live.execution is not None]
