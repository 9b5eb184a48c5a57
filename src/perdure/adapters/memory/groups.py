"""Groups: who owns which partition. An eager rebalance, as Kafka's.

The law: a partition is given away only after its owner's `on_revoked` returned, or after the session
time-out, when the owner is thrown out. Everybody is revoked, then everybody is assigned; who stays keeps what it
had as far as the shares allow. Nothing is random: members count in the order in which they joined.

A member that was thrown out is a zombie: it still believes in its assignment, reads on, and cannot commit. A
late `on_revoked` that returns at last ends that: the member joins again, as Kafka's clients do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from perdure.adapters.memory.member import Member
from perdure.adapters.memory.shares import share
from perdure.adapters.memory.source import Cluster
from perdure.ports.log import GroupListener

__all__ = ["SESSION_SECONDS", "Group", "Groups"]

SESSION_SECONDS = 6.0


class Groups:
    """All groups of a broker."""

    def __init__(self, cluster: Cluster, session_s: float = SESSION_SECONDS) -> None:
        self._cluster = cluster
        self._session_s = session_s
        self._groups: dict[str, Group] = {}

    async def join(self, name: str, topics: Sequence[str], listener: GroupListener) -> Member:
        """Raises TopicMissing; ValueError if the group's members read other topics."""
        partitions = max(self._cluster.partition_count(topic) for topic in topics)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(self._cluster, name, self._session_s)
        if not group.members:
            group.topics, group.partitions = tuple(topics), partitions
        elif group.topics != tuple(topics):
            raise ValueError(f"group {name} reads {', '.join(group.topics)}; its members cannot read other topics")
        return await group.join(listener)

    def dissolve(self) -> None:
        """The broker ends: nobody is told, every waiting read ends with NotAssigned."""
        for group in self._groups.values():
            for member in list(group.members):
                member.vanish()

    def get(self, name: str) -> Group:
        """Raises KeyError where nobody has joined yet."""
        return self._groups[name]


class Group:
    """One group: its members, in the order in which they joined, and the owner of each partition number."""

    def __init__(self, cluster: Cluster, name: str, session_s: float) -> None:
        self.cluster = cluster
        self.name = name
        self.topics: tuple[str, ...] = ()
        self.partitions = 0
        self.members: list[Member] = []
        self.owners: dict[int, Member] = {}
        self._session_s = session_s
        self._previous: dict[int, Member] = {}
        self._wanted = False
        self._task: asyncio.Task[None] | None = None
        self._late: set[asyncio.Task[None]] = set()

    async def join(self, listener: GroupListener) -> Member:
        member = Member(self, listener)
        self.add(member)
        try:
            await member.wait_first_assignment()
        except BaseException:
            member.vanish()  # whoever was joining is gone: nobody is left to be told
            raise
        return member

    def add(self, member: Member) -> None:
        self.members.append(member)
        self.rebalance()

    def rebalance(self) -> None:
        """Ask for a rebalance; those asked for before it assigns are one."""
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._rebalance())

    def expel(self, member: Member) -> None:
        """Throw a member out without telling it: it becomes a zombie. Harmless if it is none."""
        if member in self.members:
            self.members.remove(member)
            self._disown(member)
            self.rebalance()

    def revive(self, member: Member) -> None:
        """A zombie hears from its group again: it is told of its loss, then joins anew."""
        self._follow(asyncio.get_running_loop().create_task(self._rejoin(member)))

    async def _rebalance(self) -> None:
        while self._wanted:
            await asyncio.gather(*(self._revoke(member) for member in self.members))
            self._wanted = False
            self._assign()

    async def _revoke(self, member: Member) -> None:
        if not member.assigned:
            return
        late = await self.tell_bounded(member)
        if member in self.members:
            self._disown(member)
        if late is not None:
            self._throw_out(member, late)

    async def tell_bounded(self, member: Member) -> asyncio.Task[None] | None:
        """Tell a member of its loss; returns the telling if it has not come back within the session time-out."""
        telling = asyncio.get_running_loop().create_task(member.tell_revoked())
        self._follow(telling)
        done, _ = await asyncio.wait({telling}, timeout=self._session_s)
        return None if done else telling

    def _throw_out(self, member: Member, telling: asyncio.Task[None]) -> None:
        if member in self.members:
            self.members.remove(member)
        if member.leaving:
            member.finish_leaving()  # whoever waits for its leaving has waited long enough
        self._follow(asyncio.get_running_loop().create_task(self._rejoin_after(member, telling)))

    async def _rejoin_after(self, member: Member, telling: asyncio.Task[None]) -> None:
        await telling
        await self._rejoin(member)

    async def _rejoin(self, member: Member) -> None:
        await member.tell_revoked()
        if not member.left and member not in self.members:
            self.add(member)

    def _follow(self, task: asyncio.Task[None]) -> None:
        """Keep a reference: the loop itself holds tasks only weakly."""
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def _assign(self) -> None:
        for member in [member for member in self.members if member.leaving]:
            self.members.remove(member)
            member.finish_leaving()
        shares = share(self.partitions, self.members, self._previous)
        self.owners = {partition: member for member, given in shares.items() for partition in given}
        self._previous = dict(self.owners)
        for member, given in shares.items():
            self._follow(member.assign(given))

    def _disown(self, member: Member) -> None:
        self.owners = {partition: owner for partition, owner in self.owners.items() if owner is not member}
