"""The orchestrator as a member of its group: an owner for every partition it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from perdure.ports.log import GroupListener, Membership
from perdure.roles.orchestrator.batch import Layout
from perdure.roles.orchestrator.decider import Decider
from perdure.roles.orchestrator.owner import PartitionOwner
from perdure.roles.orchestrator.settings import OrchestratorPorts, OrchestratorSettings, Stats
from perdure.workflow.code import Library

__all__ = ["Orchestrator"]

log = structlog.get_logger("perdure.orchestrator")


class Orchestrator(GroupListener):
    """`start`, then `stop`. Partitions come and go in between."""

    def __init__(
        self,
        ports: OrchestratorPorts,
        library: Library,
        decider: Decider,
        settings: OrchestratorSettings | None = None,
    ) -> None:
        self._ports = ports
        self._library = library
        self._decider = decider
        self._settings = settings or OrchestratorSettings()
        self._membership: Membership | None = None
        self._early: list[Sequence[int]] = []
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.owners: dict[int, PartitionOwner] = {}
        self.stats = Stats()
        self.failure: BaseException | None = None

    async def start(self) -> None:
        topics = self._ports.topics
        self._membership = await self._ports.log.join(f"{topics.namespace}.orchestrator", [topics.instances], self)
        early, self._early = self._early, []
        for partitions in early:
            await self.on_assigned(partitions)

    async def ready(self) -> None:
        """Every partition assigned so far is being served."""
        for owner in list(self.owners.values()):
            waiting = asyncio.ensure_future(owner.serving.wait())
            task = self._tasks[owner.partition]
            await asyncio.wait([waiting, task], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if task.done():
                task.result()

    async def stop(self) -> None:
        """Finish what is in hand, store it, leave the group."""
        membership, self._membership = self._membership, None
        if membership is not None:
            await membership.leave()
        await self.on_revoked(list(self.owners))

    # -- membership -------------------------------------------------------------------------------------------

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        if self._membership is None:
            self._early.append(partitions)  # the first assignment comes while we are still joining
            return
        log_port, topics = self._ports.log, self._ports.topics
        counts = [await log_port.partitions(name) for name in (topics.instances, topics.activities(), topics.replies)]
        for partition in partitions:
            reader = self._membership.reader(topics.instances, partition)
            layout = Layout(topics, partition, *counts)
            owner = PartitionOwner(
                partition, reader, layout, self._ports, self._settings, self._library, self._decider, self.stats
            )
            self.owners[partition] = owner
            self._tasks[partition] = asyncio.get_running_loop().create_task(self._own(owner))

    async def on_revoked(self, partitions: Sequence[int]) -> None:
        leaving = [self.owners.pop(each) for each in partitions if each in self.owners]
        for owner in leaving:
            await owner.stop()
        tasks = [self._tasks.pop(owner.partition) for owner in leaving]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _own(self, owner: PartitionOwner) -> None:
        try:
            await owner.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.failure = error
            log.error("a partition cannot be served", partition=owner.partition, error=str(error))
            raise
