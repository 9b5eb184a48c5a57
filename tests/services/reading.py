"""What a broker in memory tells of its groups, and what can go wrong with asking."""

from __future__ import annotations

import asyncio

from perdure.ports.errors import Forbidden


class MemoryGroups:
    """`asked`: each question. `forbidden`: groups of which it tells nothing; `failure`: raised instead of an answer.
    `silent`, `silent_of`: no answer at all, to anything or about this group."""

    def __init__(self, log):
        self.asked = []
        self.forbidden = set()
        self.failure = None
        self.silent = False
        self.silent_of = None
        self._log = log

    async def topics(self, prefix):
        await self._asking("topics", prefix)
        return sorted(name for name in self._log.broker._topics if name.startswith(prefix))

    async def bounds(self, topics):
        await self._asking("bounds", *topics)
        places = [(topic, number) for topic in topics for number in range(await self._log.partitions(topic))]
        return {place: await self._log.bounds(*place) for place in places}

    async def stored(self, group, topic):
        await self._asking("stored", group)
        positions = self._log.broker._positions
        return {number: at.offset for (who, what, number), at in positions.items() if (who, what) == (group, topic)}

    async def members(self, group):
        await self._asking("members", group)
        known = self._log.broker.groups._groups.get(group)
        return 0 if known is None else len(known.members)

    async def _asking(self, what, *about):
        self.asked.append((what, *about))
        if self.silent or self.silent_of in about:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        if self.forbidden.intersection(about):
            raise Forbidden(
                f"Kafka does not let this user use group {about[0]}: give it what `perdure bootstrap --print`"
            )
