"""What goes on while brokers come and go: one process that appends, commits, reads as a member, and looks things up.

Each kind of work repeats what failed, as the engine's roles do, and writes down what was acknowledged to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from perdure.ports.errors import CommitFailed, CommitUnknown, Fenced, LogUnavailable, NotAssigned
from perdure.ports.log import Log, Membership
from tests.conformance.clusters import TOPICS
from tests.conformance.facts import Listener, out, values

PAUSE_S = 0.05
PATIENCE_S = 90  # a killed broker is back after its own session of 9 s, and machines are busy


class Load:
    """`run` until `stop`; partition 0 is appended to, partition 1 is committed to."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.acknowledged: dict[int, list[str]] = {0: [], 1: []}
        self.read: dict[int, list[str]] = {0: [], 1: []}
        self.looked_up = 0
        self.troubles: list[Exception] = []
        self.listener = Listener()
        self.membership: Membership
        self._stopping = False
        self.works: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.membership = await self.log.join("load", [TOPICS.instances], self.listener)
        kinds = (self._append, self._commit, self._look_up)
        self.works = [asyncio.ensure_future(kind()) for kind in kinds]
        self.works += [asyncio.ensure_future(self._follow(partition)) for partition in (0, 1)]

    async def stop(self) -> None:
        """Stops writing; returns when every acknowledged record was read. Raises what a kind of work died of."""
        self._stopping = True
        await asyncio.gather(*self.works[:3])
        await self.until(lambda: all(set(self.acknowledged[p]) <= set(self.read[p]) for p in (0, 1)))
        for work in self.works:
            work.cancel()

    async def abandon(self) -> None:
        for work in self.works:
            work.cancel()
        await asyncio.gather(*self.works, return_exceptions=True)

    async def until(self, fact: Callable[[], bool]) -> None:
        """Within patience; a kind of work that ended meanwhile is raised."""
        async with asyncio.timeout(PATIENCE_S):
            while not fact():
                for work in self.works:
                    if work.done() and not self._stopping:
                        work.result()
                        raise AssertionError("a kind of work ended")
                await asyncio.sleep(PAUSE_S)

    async def everything_moves(self) -> None:
        """From now on each kind of work gets on."""
        before = self._progress()
        await self.until(lambda: all(now >= was + 3 for now, was in zip(self._progress(), before, strict=True)))

    def _progress(self) -> list[int]:
        kept = [self.acknowledged[0], self.acknowledged[1], self.read[0], self.read[1]]
        return [*map(len, kept), self.looked_up]

    async def _append(self) -> None:
        for number in count():
            if self._stopping:
                return
            await self._repeat(lambda number=number: self.log.append([out(f"{number}", 0)]))
            self.acknowledged[0].append(f"{number}")

    async def _commit(self) -> None:
        writer = None
        for number in count():
            if self._stopping:
                return
            while True:
                try:
                    writer = writer or await self.log.open_writer("load")
                    await writer.commit([out(f"{number}", 1), out(f"{number}", 1, TOPICS.history)])
                except (CommitFailed, CommitUnknown, Fenced, LogUnavailable) as error:
                    self.troubles.append(error)
                    writer = None
                    await asyncio.sleep(PAUSE_S)
                else:
                    break
            self.acknowledged[1].append(f"{number}")

    async def _look_up(self) -> None:
        while not self._stopping:
            await self._repeat(lambda: self.log.bounds(TOPICS.instances, 2))
            await self._repeat(lambda: self.log.fetch(TOPICS.instances, 2, 0, 10))
            self.looked_up += 1
            await asyncio.sleep(PAUSE_S)

    async def _follow(self, partition: int) -> None:
        """As long as the partition is this member's, and again when it is assigned anew."""
        while True:
            try:
                reader = self.membership.reader(TOPICS.instances, partition)
                while True:
                    self.read[partition] += values(await reader.read(100))
                    await self._repeat(lambda reader=reader: reader.commit(reader.position))
            except NotAssigned:
                await asyncio.sleep(PAUSE_S)

    async def _repeat(self, call: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await call()
            except (CommitFailed, CommitUnknown, LogUnavailable) as error:
                self.troubles.append(error)
                await asyncio.sleep(PAUSE_S)
            else:
                return
