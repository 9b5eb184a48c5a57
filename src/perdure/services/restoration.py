"""`perdure restore`: after a log was lost, ask every instance that has not ended for its open steps anew.

The store has histories and far timers; what was on its way lay in the log alone: tasks that no worker had finished, near
timers, starts of children, their answers. Instances are asked for them by a command each, which their owners decide
like any other (`ReissueSteps`). Whoever still has what is asked for ignores it, so a second run costs time and does no
harm; an activity that had run, and whose result was lost, runs once more, under the same idempotency key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from perdure.codec.encoder import Encoder
from perdure.core.commands import ReissueSteps
from perdure.core.names import Topics, partition_of
from perdure.ports.errors import TopicMismatch
from perdure.ports.log import Log, Outgoing
from perdure.ports.store import Filter, HistoryStore
from perdure.roles.dead_letters import run_partition
from perdure.services.layout import verify_layout

__all__ = ["ACTIVE", "Restoration"]

ACTIVE: Final = ("PENDING", "RUNNING", "SUSPENDED", "STALLED")

PAGE: Final = 500
"""Instances asked at a time: one append, and one line of progress."""


class Restoration:
    """Of one namespace. `tell` is given how many have been asked so far."""

    def __init__(self, log: Log, store: HistoryStore, topics: Topics, tell: Callable[[int], None]) -> None:
        self._log = log
        self._store = store
        self._topics = topics
        self._tell = tell

    async def run(self) -> int:
        """How many instances were asked. Raises TopicMissing, TopicMismatch, HeldBack, PortError, StoreUnavailable."""
        layout = await verify_layout(self._log, self._topics)
        encode = Encoder(layout.writes)
        asked, after = 0, ""
        while True:
            page = await self._store.list(Filter(statuses=ACTIVE), PAGE, after)
            commands = []
            for row in page.rows:
                _check_run(row.instance_id, row.run, layout.partitions)
                home = partition_of(row.instance_id, layout.partitions)
                value = encode(ReissueSteps(row.run))
                commands.append(Outgoing(self._topics.instances, home, row.instance_id.encode(), value))
            if commands:
                await self._log.append(commands)
                asked += len(commands)
                self._tell(asked)
            if not page.next:
                return asked
            after = page.next


def _check_run(instance_id: str, run: str, partitions: int) -> None:
    try:
        run_partition(run, partitions)
    except ValueError:
        raise TopicMismatch(
            f"run {run} of '{instance_id}' began in a partition that is not there: the store is of a namespace with more than "
            f"{partitions} partitions. Bootstrap the new topics with at least as many"
        ) from None
