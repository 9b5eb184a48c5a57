"""One member of a group: what it believes it owns, and what its listener is told, one call at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

import structlog

from perdure.adapters.memory.reader import GroupReader
from perdure.ports.errors import NotAssigned
from perdure.ports.log import GroupListener, Membership, Reader

if TYPE_CHECKING:
    from perdure.adapters.memory.groups import Group

__all__ = ["Member"]

log = structlog.get_logger(__name__)


class Member(Membership):
    def __init__(self, group: Group, listener: GroupListener) -> None:
        self.assigned: tuple[int, ...] = ()
        self.leaving = False
        self.left = False
        self.group = group
        self._listener = listener
        self._readers: dict[tuple[str, int], GroupReader] = {}
        self._calls = asyncio.Lock()
        self._caller: asyncio.Task[object] | None = None
        self._first = asyncio.Event()
        self._gone = asyncio.Event()

    def reader(self, topic: str, partition: int) -> Reader:
        if partition not in self.assigned or topic not in self.group.topics:
            raise NotAssigned(f"{topic}[{partition}] is not assigned to this member of {self.group.name}")
        found = self._readers.get((topic, partition))
        if found is None:
            cluster = self.group.cluster
            if partition >= cluster.partition_count(topic):
                raise NotAssigned(f"{topic} has only {cluster.partition_count(topic)} partitions")
            source = cluster.source(topic, partition)
            found = self._readers[topic, partition] = GroupReader(cluster, self.group.name, source, self._owns)
        return found

    async def leave(self) -> None:
        if self.left:
            return
        if self not in self.group.members:  # a zombie: the group has nothing to settle with it
            self.left = True
            self._gone.set()
            await self.group.tell_bounded(self)
            return
        self.leaving = True
        self.group.rebalance()
        if asyncio.current_task() is not self._caller:  # its own listener's call must not wait for itself
            await self._gone.wait()

    def vanish(self) -> None:
        """As if the process had died: nobody is told, the waiting reads end, the group finds out."""
        self.left = True
        self._gone.set()
        self.group.expel(self)
        self.assigned = ()
        self._drop_readers()

    async def wait_first_assignment(self) -> None:
        await self._first.wait()

    def assign(self, partitions: Sequence[int]) -> asyncio.Task[None]:
        """Called by the group. The partitions are the member's at once; the task tells the listener."""
        self.assigned = tuple(partitions)
        return asyncio.get_running_loop().create_task(self._tell_assigned(self.assigned))

    def finish_leaving(self) -> None:
        self.left = True
        self._gone.set()

    async def tell_revoked(self) -> None:
        """Tells of everything assigned, if anything is; the readers end with the listener's return."""
        async with self._calls:
            if self.assigned:
                await self._tell("on_revoked", self._listener.on_revoked(self.assigned))
                self.assigned = ()
                self._drop_readers()

    async def _tell_assigned(self, partitions: tuple[int, ...]) -> None:
        async with self._calls:
            if not self.left:
                await self._tell("on_assigned", self._listener.on_assigned(partitions))
            self._first.set()

    async def _tell(self, name: str, call: Awaitable[None]) -> None:
        self._caller = asyncio.current_task()
        try:
            await call
        except Exception:
            # The group goes on whatever one member's listener does; its error belongs in the log.
            log.exception("group listener failed", group=self.group.name, call=name)
        finally:
            self._caller = None

    def _drop_readers(self) -> None:
        for reader in self._readers.values():
            reader.revoke()
        self._readers.clear()

    def _owns(self, partition: int) -> bool:
        return self.group.owners.get(partition) is self
