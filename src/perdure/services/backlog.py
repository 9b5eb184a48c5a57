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
from collections.abc import Awaitable, Mapping
from typing import Final, TypeVar

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

T = TypeVar("T")

LOOK_SECONDS: Final = 10.0
"""Below Prometheus' usual 15: each of its questions finds a new answer, and several of them together one."""

ANSWER_SECONDS: Final = 1.5
"""For each question, of which four at most are asked one after the other: Prometheus waits ten seconds."""

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
                self._found = await self._look(self._groups, now)
        return self._found

    async def _look(self, groups: Groups, now: float) -> list[Sample]:
        if now - self._listed >= QUEUES_SECONDS:
            listed = await self._answer("task queues", _queues(groups, self._topics))
            if listed is not None:
                self._queues, self._listed = listed, now
        subscriptions = await self._answer(self._topics.subscriptions, self._subscriptions()) or []
        queues = self._queues
        told = await asyncio.gather(
            self._lags(groups, queues), *(self._members(groups, group) for group in [*queues, *subscriptions])
        )
        return [sample for some in told for sample in some]

    async def _subscriptions(self) -> list[str]:
        """Groups of those that are declared. The topic is read again when it has got longer."""
        _, end = await self._log.bounds(self._topics.subscriptions, 0)
        if end != self._register.end:
            self._register = await read_register(self._log, self._topics)
        return [group_of_subscription(self._topics, name) for name in sorted(self._register.declared)]

    async def _lags(self, groups: Groups, queues: Mapping[str, str]) -> list[Sample]:
        bounds = await self._answer("task queues", groups.bounds(list(queues.values())))
        if bounds is None:
            return []
        told = await asyncio.gather(*(self._lag(groups, group, topic, bounds) for group, topic in queues.items()))
        return [sample for some in told for sample in some]

    async def _lag(
        self, groups: Groups, group: str, topic: str, bounds: Mapping[Place, tuple[int, int]]
    ) -> list[Sample]:
        stored = await self._answer(group, groups.stored(group, topic))
        if stored is None:
            return []
        behind = (
            max(0, end - max(start, stored.get(number, start)))
            for (name, number), (start, end) in bounds.items()
            if name == topic
        )
        return [Sample("perdure_group_lag_records", sum(behind), (group,))]

    async def _members(self, groups: Groups, group: str) -> list[Sample]:
        found = await self._answer(group, groups.members(group))
        return [] if found is None else [Sample("perdure_group_members", found, (group,))]

    async def _answer(self, what: str, question: Awaitable[T]) -> T | None:
        """None where there is none: what does not answer takes nothing away from the others."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await question
        except Forbidden as error:
            self._tell(what, error)
        except TopicMissing as error:
            self._listed = -float("inf")
            self._tell(what, error)
        except (PortError, TimeoutError) as error:
            log.info("not among the metrics this time", what=what, reason=str(error) or "no answer in time")
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
