"""What waits for services that may not be there: task queues without workers, subscriptions without subscribers.

A reader tells its own lag, and nobody tells it once the last reader is gone. So orchestrators, of which there are always
some, ask the log itself: for each task queue how far its group's positions are behind, and for each group of a queue or a
subscription how many members it has. Of subscriptions no lag: their topics are others', and an orchestrator has no right
there.

Asked when metrics are, but not more often than every LOOK_SECONDS; a process that nobody asks asks nothing. Positions are
those of transactions, too: the end of a commit takes an offset, which idle workers store behind (`roles/activities/feed.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from perdure.core.names import Topics
from perdure.ports.errors import Forbidden, PortError, TopicMissing
from perdure.ports.groups import Groups, Place
from perdure.ports.log import Log
from perdure.roles.activities.worker import group_of as group_of_queue
from perdure.roles.subscriptions.feed import group_of as group_of_subscription
from perdure.roles.subscriptions.register import Register, read_register
from perdure.services.samples import Sample

__all__ = ["LOOK_SECONDS", "Backlog"]

log = structlog.get_logger("perdure.service")

LOOK_SECONDS: Final = 10.0
"""Below Prometheus' usual 15: each of its questions finds a new answer, and several of them together one."""

ANSWER_SECONDS: Final = 2.0
"""For one look: metrics are given without rather than not."""

QUEUES_SECONDS: Final = 120.0
"""Until a queue that was added is known: which there are is told by a list of all topics."""


class Backlog:
    """`samples` of one namespace; none where the log cannot tell."""

    def __init__(self, ports_log: Log, topics: Topics, groups: Groups | None) -> None:
        self._log = ports_log
        self._topics = topics
        self._groups = groups
        self._found: list[Sample] = []
        self._looked = self._listed = -float("inf")
        self._queues: dict[str, str] = {}
        self._register = Register()
        self._refused: set[str] = set()
        self._turn = asyncio.Lock()

    async def samples(self) -> list[Sample]:
        if self._groups is None:
            return []
        async with self._turn:
            now = asyncio.get_running_loop().time()
            if now - self._looked >= LOOK_SECONDS:
                self._looked = now
                self._found = await self._look_in_time(self._groups, now)
        return self._found

    async def _look_in_time(self, groups: Groups, now: float) -> list[Sample]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._look(groups, now)
        except (PortError, TimeoutError) as error:
            reason = str(error) or "no answer in time"
            log.info("metrics are given without what waits in queues", reason=reason)
            return []

    async def _look(self, groups: Groups, now: float) -> list[Sample]:
        if now - self._listed >= QUEUES_SECONDS:
            self._queues = await _queues(groups, self._topics)
            self._listed = now
        queues, subscriptions = self._queues, await self._subscriptions()
        bounds = await groups.bounds(list(queues.values()))
        told = await asyncio.gather(
            *(self._lag(groups, group, topic, bounds) for group, topic in queues.items()),
            *(self._members(groups, group) for group in [*queues, *subscriptions]),
        )
        return [sample for sample in told if sample is not None]

    async def _subscriptions(self) -> list[str]:
        """Groups of those that are declared. The topic is read again when it has got longer."""
        try:
            _, end = await self._log.bounds(self._topics.subscriptions, 0)
            if end != self._register.end:
                self._register = await read_register(self._log, self._topics)
        except (TopicMissing, Forbidden) as error:
            self._tell(self._topics.subscriptions, error)
            return []
        return [group_of_subscription(self._topics, name) for name in sorted(self._register.declared)]

    async def _lag(
        self, groups: Groups, group: str, topic: str, bounds: Mapping[Place, tuple[int, int]]
    ) -> Sample | None:
        try:
            stored = await groups.stored(group, topic)
        except Forbidden as error:
            self._tell(group, error)
            return None
        behind = (
            max(0, end - max(start, stored.get(number, start)))
            for (name, number), (start, end) in bounds.items()
            if name == topic
        )
        return Sample("perdure_group_lag_records", sum(behind), (group,))

    async def _members(self, groups: Groups, group: str) -> Sample | None:
        try:
            return Sample("perdure_group_members", await groups.members(group), (group,))
        except Forbidden as error:
            self._tell(group, error)
            return None

    def _tell(self, what: str, error: PortError) -> None:
        """Once of each: a namespace whose rights are those of an earlier release works without."""
        if what not in self._refused:
            self._refused.add(what)
            log.warning("what waits there is not among the metrics", what=what, reason=str(error))


async def _queues(groups: Groups, topics: Topics) -> dict[str, str]:
    """Topics by the groups of their workers."""
    default = topics.activities()
    names = [name for name in await groups.topics(default) if name == default or name.startswith(f"{default}.")]
    return {group_of_queue(topics, name.removeprefix(default).removeprefix(".")): name for name in names}
