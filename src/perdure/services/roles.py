"""One role over ports, as its process sees it: start, what keeps it from being ready, samples, stop.

The roles themselves know nothing of processes; what is here is only what `perdure.assembly.Engine` does for all of
them at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from perdure.assembly import Ports
from perdure.cli.exits import Conflict
from perdure.client.log_transport import LogTransport
from perdure.gateway.settings import GatewaySettings
from perdure.ports.errors import PortError
from perdure.roles.activities import ActivitySettings, ActivityWorker
from perdure.roles.activities.slots import Slots, ThreadSlots
from perdure.roles.orchestrator import (
    Decider,
    Orchestrator,
    OrchestratorPorts,
    OrchestratorSettings,
    ThreadDecider,
)
from perdure.roles.orchestrator.tenure import Tenure
from perdure.roles.timers import TimerService, TimerSettings
from perdure.services.backlog import Backlog
from perdure.services.role import Positions, Role
from perdure.services.samples import Sample, of_stats
from perdure.services.settings import ServiceSettings
from perdure.services.subscribing import SubscriberRole
from perdure.services.write_version import learn_write_version
from perdure.workflow.app import App
from perdure.workflow.code import Library

if TYPE_CHECKING:
    from perdure.gateway.server import GatewayServer

__all__ = [
    "ROLES", "GatewayRole", "OrchestratorRole", "Role", "SubscriberRole", "TimerRole", "WorkerRole", "orchestrator_bounds",
]  # fmt: skip

COMMITS_PER_SECOND = 150.0
"""Of one orchestrator process. A transaction costs clients and broker some 3 ms of CPU whatever is in it: above this
rate, commands gather for the next one instead."""

DRAIN_SHARE = 0.8
"""Of the drain's time: what an activity may still use; the rest is for its result and for leaving the group."""


def orchestrator_bounds(settings: ServiceSettings, bounds: OrchestratorSettings | None = None) -> OrchestratorSettings:
    """These bounds, with what the environment says."""
    return replace(
        bounds or OrchestratorSettings(), epoch=settings.epoch,
        retain=settings.ages, retain_per_second=settings.retain_per_second,
        history_s=settings.history_hours * 3_600, dead_letters_s=settings.dead_letter_days * 86_400,
        registry_patience_s=settings.schema_registry_seconds,
    )  # fmt: skip


class OrchestratorRole(Role):
    name = "orchestrator"
    orchestrator: Orchestrator | None = None
    backlog: Backlog | None = None
    bounds = OrchestratorSettings(commits_per_second=COMMITS_PER_SECOND)

    def make_decider(self) -> Decider:
        """Where user code runs."""
        return ThreadDecider(
            asyncio.get_running_loop(),
            on_exhausted=lambda: self.fail("too many orchestrators never returned and hold their threads"),
        )

    async def start(self) -> None:
        self._decider = self.make_decider()
        self.orchestrator = Orchestrator(
            OrchestratorPorts(
                self.ports.log,
                self.ports.store,
                self.ports.clock,
                self.topics,
                registry=self.ports.registry,
                encode=self.ports.encode,
            ),
            Library(self.app),
            self._decider,
            replace(orchestrator_bounds(self.settings, self.bounds), owner=self.owner, epoch=self.epoch),
            on_failure=self._owner_failed,
        )
        self.backlog = Backlog(self.ports.log, self.topics, self.ports.groups)
        await self.orchestrator.start()
        await self.orchestrator.ready()

    def _owner_failed(self, reason: str) -> None:
        error = None if self.orchestrator is None else self.orchestrator.failure
        if isinstance(error, PortError):
            self.failed(error)
        else:
            self.fail(reason)

    async def stop(self) -> None:
        if self.orchestrator is not None:
            await self.orchestrator.stop()
            self._decider.stop()

    async def abandon(self) -> None:
        if self.orchestrator is not None:
            self._decider.stop()

    def held(self, topic: str, partition: int) -> str:
        """An owner that does not read decides, commits, or waits for its store: each ends, or fails, by itself."""
        del topic
        owners = {} if self.orchestrator is None else self.orchestrator.owners
        return "decides" if partition in owners else ""

    async def unready(self) -> str:
        owners = {} if self.orchestrator is None else self.orchestrator.owners
        waiting = sorted(number for number, owner in owners.items() if not owner.serving.is_set())
        if waiting:
            return f"partitions {', '.join(map(str, waiting))} are being taken over"
        full = [number for number, tenure in self._tenures().items() if tenure.behind.full]
        if full:
            return f"partitions {', '.join(map(str, full))} read nothing more until the store takes what waits for it"
        return ""

    def _tenures(self) -> dict[int, Tenure]:
        owners = {} if self.orchestrator is None else self.orchestrator.owners
        return {number: owner.tenure for number, owner in sorted(owners.items()) if owner.tenure is not None}

    def positions(self) -> Positions:
        return {(self.topics.instances, number): each.telling.reached for number, each in self._tenures().items()}

    async def samples(self) -> list[Sample]:
        if self.orchestrator is None or self.backlog is None:
            return []
        tenures = self._tenures()
        found = [*of_stats(self.orchestrator.stats), Sample("perdure_partitions", len(tenures))]
        for number, tenure in tenures.items():
            behind = max(0, tenure.marker_offset - tenure.behind.stored_to)
            found.append(Sample("perdure_store_lag_records", behind, (str(number),)))
            found.append(Sample("perdure_store_lag_bytes", tenure.behind.waiting_bytes, (str(number),)))
            found.append(Sample("perdure_store_lag_memory_bytes", tenure.behind.weight, (str(number),)))
        lags, waiting = await asyncio.gather(super().samples(), self.backlog.samples())
        return [*found, *lags, *waiting]


class WorkerRole(Role):
    name = "activity-worker"
    worker: ActivityWorker | None = None
    bounds = ActivitySettings()

    def make_slots(self) -> Slots:
        """Where plain activities run."""
        return ThreadSlots(self.settings.threads)

    async def start(self) -> None:
        settings = self.settings
        self.worker = ActivityWorker(
            app=self.app,
            log=self.ports.log,
            clock=self.ports.clock,
            topics=self.topics,
            queue=settings.task_queue,
            slots=self.make_slots(),
            settings=replace(self.bounds, drain_timeout_s=settings.drain_seconds * DRAIN_SHARE),
            on_exhausted=lambda: self.fail("too many activities hold a thread past their time-out"),
            on_failure=self.failed,
            encode=self.ports.encode,
        )
        await self.worker.start()

    async def stop(self) -> None:
        if self.worker is not None:
            await self.worker.stop()

    async def abandon(self) -> None:
        if self.worker is not None:
            await self.worker.abandon()

    def held(self, topic: str, partition: int) -> str:
        del topic
        feed = None if self.worker is None else self.worker.feeds.get(partition)
        return "what was taken has to end first" if feed is not None and feed.held else ""

    def positions(self) -> Positions:
        topic = self.topics.activities(self.settings.task_queue)
        feeds = {} if self.worker is None else self.worker.feeds
        return {(topic, number): feed.watermark.low for number, feed in sorted(feeds.items())}

    async def samples(self) -> list[Sample]:
        if self.worker is None:
            return []
        partitions = Sample("perdure_partitions", len(self.worker.feeds))
        return [*of_stats(self.worker.stats, "perdure_activities_"), partitions, *await super().samples()]


class TimerRole(Role):
    name = "timer"
    app_needed = False
    timers: TimerService | None = None
    bounds = TimerSettings()

    async def start(self) -> None:
        self.timers = TimerService(
            log=self.ports.log,
            store=self.ports.timers,
            clock=self.ports.clock,
            topics=self.topics,
            settings=replace(self.bounds, epoch=self.epoch),
            on_failure=self.failed,
            encode=self.ports.encode,
        )
        await self.timers.start()

    async def stop(self) -> None:
        if self.timers is not None:
            await self.timers.stop()

    async def abandon(self) -> None:
        if self.timers is not None:
            await self.timers.abandon()

    def held(self, topic: str, partition: int) -> str:
        del topic
        shard = None if self.timers is None else self.timers.shards.get(partition)
        return "its store is behind" if shard is not None and shard.held else ""

    async def unready(self) -> str:
        shards = {} if self.timers is None else self.timers.shards
        closed = sorted(number for number, shard in shards.items() if shard.position is None)
        if closed:
            return f"shards {', '.join(map(str, closed))} are being opened"
        full = sorted(number for number, shard in shards.items() if shard.held)
        if full:
            return f"shards {', '.join(map(str, full))} read nothing more until the store takes what waits for it"
        return ""

    def positions(self) -> Positions:
        shards = {} if self.timers is None else self.timers.shards
        places = {number: shard.position for number, shard in sorted(shards.items())}
        return {(self.topics.timers, number): at for number, at in places.items() if at is not None}

    async def samples(self) -> list[Sample]:
        if self.timers is None:
            return []
        partitions = Sample("perdure_partitions", len(self.timers.shards))
        return [*of_stats(self.timers.stats, "perdure_timers_"), partitions, *await super().samples()]


class GatewayRole(Role):
    """The App, if one is given, only tells names; requests name workflows by text."""

    name = "gateway"
    app_needed = False
    server: GatewayServer | None = None
    transport: LogTransport | None = None

    def __init__(
        self,
        app: App,
        ports: Ports,
        settings: ServiceSettings,
        *,
        owner: str,
        gateway: GatewaySettings | None = None,
    ) -> None:
        super().__init__(app, ports, settings, owner=owner)
        self._gateway = gateway or GatewaySettings()

    async def start(self) -> None:
        # The web framework takes a third of a process's start, and only this role needs it.
        from perdure.client.client import AsyncWorkflowClient  # noqa: PLC0415
        from perdure.gateway.http import create_app  # noqa: PLC0415
        from perdure.gateway.server import AddressInUse, GatewayServer  # noqa: PLC0415

        ports = self.ports
        self.transport = LogTransport(
            ports.log, ports.store, self.topics, ports.entropy, ports.clock, encode=ports.encode,
            learn=partial(learn_write_version, ports.log, self.topics, ports.encode), registry=ports.registry,
        )  # fmt: skip
        self.transport.on_end = self.failed
        await self.transport.open()
        client = AsyncWorkflowClient(self.transport, app=self.app)
        self.server = GatewayServer(create_app(client, settings=self._gateway), self._gateway)
        try:
            await self.server.start()
        except AddressInUse as error:
            raise Conflict(str(error)) from None

    async def stop(self) -> None:
        # Long polls would keep the port open until they time out: their transport lets them go, with an answer.
        ends = [each.stop() for each in (self.server,) if each is not None]
        ends += [each.close() for each in (self.transport,) if each is not None]
        await asyncio.gather(*ends)

    async def abandon(self) -> None:
        """Nothing is left: its requests end with the connections that carry them."""

    async def unready(self) -> str:
        if self.transport is not None:
            await self.transport.check()
        return ""

    async def samples(self) -> list[Sample]:
        settled = [] if self.transport is None else of_stats(self.transport.letters.stats)
        return [*settled, *await super().samples()]

    @property
    def tells(self) -> Mapping[str, str]:
        return {} if self.server is None else {"gateway": self.server.url}


ROLES: Mapping[str, type[Role]] = {
    role.name: role for role in (OrchestratorRole, WorkerRole, TimerRole, GatewayRole, SubscriberRole)
}
