"""`perdure upgrade`: raise a namespace's write version once everybody who reads there can read it.

Law: nothing is recorded while a member of one of the namespace's groups does not tell that it reads the new version. A
member that joins between the look and the record is looked for once more afterwards, and named: recorded is recorded,
and a release that knows of write versions refuses to start by itself.

Twice is harmless, and so are two at once: the highest recorded version counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from perdure.codec.versions import newest
from perdure.core.names import Topics
from perdure.ports.errors import TopicMissing
from perdure.ports.log import Log
from perdure.services.groups import Member
from perdure.services.layout import raise_layout, read_layout, refuse_unknown

__all__ = ["Found", "Groups", "Upgrade"]

LOOK_AGAIN_SECONDS: Final = 1.0
"""Between two looks while `--wait` lasts: a few requests each."""


class Groups(Protocol):
    """Who reads (`KafkaGroups`)."""

    async def members(self, topics: Topics) -> list[Member]: ...


@dataclass(slots=True, frozen=True)
class Found:
    """`writes` is the namespace's version, `newest` this release's; `behind` are the members that do not read it."""

    writes: int
    newest: int
    members: Sequence[Member]

    @property
    def behind(self) -> list[Member]:
        return [each for each in self.members if each.reads < self.newest]

    @property
    def is_done(self) -> bool:
        return self.writes >= self.newest


class Upgrade:
    """Of one namespace. `look` reads only; `run` records what may be recorded."""

    def __init__(self, log: Log, topics: Topics, groups: Groups) -> None:
        self._log = log
        self._topics = topics
        self._groups = groups

    async def look(self) -> Found:
        """Raises TopicMissing, TopicMismatch (a later release has upgraded it), PortError."""
        layout = await read_layout(self._log, self._topics)
        if layout is None:
            raise TopicMissing(
                f"namespace {self._topics.namespace} was not bootstrapped to its end: `perdure bootstrap` does it"
            )
        refuse_unknown(layout, self._topics)
        return Found(layout.writes, newest(), await self._groups.members(self._topics))

    async def run(self, wait_seconds: float = 0.0) -> Found:
        """What was found last: it is done, unless some are behind still. Raises what `look` raises."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_seconds
        found = await self.look()
        while not found.is_done and found.behind and loop.time() < end:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            found = await self.look()
        if found.is_done or found.behind:
            return found
        layout = await read_layout(self._log, self._topics)
        if layout is not None and layout.writes < newest():
            await raise_layout(self._log, self._topics, layout.raised())
        return await self.look()
