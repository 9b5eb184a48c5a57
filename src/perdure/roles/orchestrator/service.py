"""The orchestrator as a member of its group: an owner for every partition it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from perdure.ports.log import GroupListener, Membership
from perdure.roles.orchestrator.batch import Layout
from perdure.roles.orchestrator.budget import Budget
from perdure.roles.orchestrator.decider import Decider
from perdure.roles.orchestrator.kept import Kept
from perdure.roles.orchestrator.owner import PartitionOwner
from perdure.roles.orchestrator.pace import Pace
from perdure.roles.orchestrator.schemas import Schemas
from perdure.roles.orchestrator.settings import OrchestratorPorts, OrchestratorSettings, Stats
from perdure.roles.orchestrator.tenure import Halving, Office
from perdure.roles.orchestrator.waiters import Waiters
from perdure.workflow.code import Library

__all__ = ["Orchestrator"]

log = structlog.get_logger("perdure.orchestrator")


class Orchestrator(GroupListener):
    """`start`, then `stop`, once each. Partitions come and go in between."""

    def __init__(
        self,
        ports: OrchestratorPorts,
        library: Library,
        decider: Decider,
        settings: OrchestratorSettings | None = None,
        *,
        on_failure: Callable[[str], None] | None = None,
        on_trouble: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._ports = ports
        self._library = library
        self._decider = decider
        self._settings = settings or OrchestratorSettings()
        self._pace = Pace(self._settings.commits_per_second, self._settings.commits_burst)
        self._schemas = Schemas(ports.registry, self._settings)
        self._budget = Budget(self._settings)
        self._on_trouble = on_trouble  # told why one cannot be served for a while
        self._on_failure = on_failure  # told why a partition cannot be served any more
        self._membership: asyncio.Future[Membership] | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._kept: dict[int, Kept] = {}  # of partitions that were revoked, until the next assignment
        self.owners: dict[int, PartitionOwner] = {}
        self.stats = Stats()
        self.failure: BaseException | None = None
        self._owned = asyncio.Event()

    async def start(self) -> None:
        """Returns when the first partitions are assigned. Raises TopicMissing."""
        topics = self._ports.topics
        self._counts = [
            await self._ports.log.partitions(name) for name in (topics.instances, topics.activities(), topics.replies)
        ]
        self._membership = asyncio.get_running_loop().create_future()
        joined = await self._ports.log.join(f"{topics.namespace}.orchestrator", [topics.instances], self)
        self._membership.set_result(joined)

    async def ready(self) -> None:
        """Every partition assigned so far is being served. Raises what keeps one from it."""
        while True:
            owners = list(self.owners.values())
            unready = [owner for owner in owners if not owner.serving.is_set()]
            if not unready and len(owners) == len(self._tasks):
                return
            if self.failure is not None:
                raise self.failure
            self._owned.clear()
            waits = [asyncio.ensure_future(owner.serving.wait()) for owner in unready]
            if len(owners) < len(self._tasks):
                waits.append(asyncio.ensure_future(self._owned.wait()))
            running = [task for task in self._tasks.values() if not task.done()]
            await asyncio.wait([*waits, *running], return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def stop(self) -> None:
        """Finish what is in hand, store it, leave the group. Twice is harmless."""
        membership, self._membership = self._membership, None
        if membership is not None and membership.done():
            await membership.result().leave()
        await self.on_revoked(list(self._tasks))
        await self._forget(list(self._kept))
        await self._schemas.stop()

    # -- membership -------------------------------------------------------------------------------------------

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self._tasks[partition] = asyncio.get_running_loop().create_task(self._own(partition))
        await self._forget([each for each in self._kept if each not in self._tasks])

    async def on_revoked(self, partitions: Sequence[int]) -> None:
        tasks = {each: self._tasks.pop(each) for each in partitions if each in self._tasks}
        owners = {each: self.owners.pop(each) for each in tasks if each in self.owners}
        for partition, task in tasks.items():
            if partition in owners:
                owners[partition].stop()
            else:
                task.cancel()  # not begun yet
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for partition, owner in owners.items():
            if owner.kept is not None:
                self._kept[partition] = owner.kept

    async def _forget(self, partitions: Sequence[int]) -> None:
        running = [live for each in partitions for live in self._kept.pop(each).running]
        if running:
            await self._decider.let_go(running)

    async def _own(self, partition: int) -> None:
        if self._membership is None:
            return
        # The first assignments come, and may be taken back, while we are still joining: what ends is this wait alone.
        membership = await asyncio.shield(self._membership)
        topics = self._ports.topics
        kept = self._kept.get(partition)
        waiters = Waiters(self._settings.waiter_silence_s) if kept is None else kept.waiters
        try:
            office = Office(
                partition, membership.reader(topics.instances, partition), Layout(topics, partition, *self._counts, encode=self._ports.encode),
                self._ports, self._settings, self._library, self._decider, self.stats, waiters,
                Halving(self._settings.batch_requests_max), self._pace, self._schemas, self._budget, self._on_trouble,
            )  # fmt: skip
            owner = self.owners[partition] = PartitionOwner(office, kept)
            self._kept.pop(partition, None)
            self._owned.set()
            await owner.run()
        except Exception as error:
            self.failure = error
            reason = f"{type(error).__name__}: {error}"
            log.error("a partition cannot be served", partition=partition, error=reason)
            if self._on_failure is not None:
                self._on_failure(f"partition {partition} cannot be served: {reason}")
            raise
