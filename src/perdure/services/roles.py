"""One role over ports, as its process sees it: start, what keeps it from being ready, samples, stop.

The roles themselves know nothing of processes; what is here is only what `perdure.assembly.Engine` does for all of
them at once.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from perdure.assembly import EngineFailed, Ports
from perdure.client.client import AsyncWorkflowClient
from perdure.client.log_transport import LogTransport
from perdure.core.names import Topics
from perdure.gateway.http import create_app
from perdure.gateway.server import GatewayServer
from perdure.gateway.settings import GatewaySettings
from perdure.roles.activities import ActivitySettings, ActivityWorker
from perdure.roles.activities.slots import ThreadSlots
from perdure.roles.orchestrator import Orchestrator, OrchestratorPorts, OrchestratorSettings, ThreadDecider
from perdure.roles.timers import TimerService
from perdure.services.samples import Sample, of_stats
from perdure.services.settings import ServiceSettings
from perdure.workflow.app import App
from perdure.workflow.code import Library

__all__ = ["ROLES", "GatewayRole", "OrchestratorRole", "Role", "TimerRole", "WorkerRole"]

log = structlog.get_logger("perdure.service")

DRAIN_SHARE = 0.8
"""Of the drain's time: what an activity may still use; the rest is for its result and for leaving the group."""


class Role(ABC):
    """Started once, stopped once. `failed` is set, with `failure`, when it cannot go on in this process."""

    name: str
    app_needed = True

    def __init__(self, app: App, ports: Ports, settings: ServiceSettings, *, owner: str) -> None:
        self.app = app
        self.ports = ports
        self.settings = settings
        self.owner = owner
        self.topics = Topics(settings.namespace)
        self.failed = asyncio.Event()
        self.failure: EngineFailed | None = None

    @abstractmethod
    async def start(self) -> None:
        """Returns when it does its work. Raises what keeps it from that."""

    @abstractmethod
    async def stop(self) -> None:
        """Drain and leave. Twice is harmless."""

    async def unready(self) -> str:
        """Why it is not ready, "" when it is. Asked only between start and stop."""
        return ""

    async def samples(self) -> list[Sample]:
        return []

    @property
    def tells(self) -> Mapping[str, str]:
        """What its start-up line says besides."""
        return {}

    def fail(self, reason: str) -> None:
        self.failure = self.failure or EngineFailed(
            f"{reason}: the process ends and has to be started again; nothing accepted is lost"
        )
        log.error("the service cannot go on", role=self.name, reason=reason)
        self.failed.set()

    async def _lags(self, topic: str, positions: Mapping[int, int]) -> list[Sample]:
        """How far each partition is behind the end of what it reads, which is asked of the log now."""
        ends = await asyncio.gather(*(self.ports.log.bounds(topic, number) for number in positions))
        lags = [
            Sample("perdure_lag_records", max(0, end - at), (("topic", topic), ("partition", str(number))))
            for (number, at), (_, end) in zip(positions.items(), ends, strict=True)
        ]
        return [Sample("perdure_partitions", len(positions)), *lags]


class OrchestratorRole(Role):
    name = "orchestrator"

    async def start(self) -> None:
        self._decider = ThreadDecider(
            asyncio.get_running_loop(),
            on_exhausted=lambda: self.fail("too many orchestrators never returned and hold their threads"),
        )
        self.orchestrator = Orchestrator(
            OrchestratorPorts(self.ports.log, self.ports.store, self.ports.clock, self.topics),
            Library(self.app),
            self._decider,
            OrchestratorSettings(owner=self.owner, epoch=self.settings.epoch),
            on_failure=self.fail,
        )
        await self.orchestrator.start()
        await self.orchestrator.ready()

    async def stop(self) -> None:
        await self.orchestrator.stop()
        self._decider.stop()

    async def unready(self) -> str:
        owners = self.orchestrator.owners
        waiting = sorted(number for number, owner in owners.items() if not owner.serving.is_set())
        return f"partitions {', '.join(map(str, waiting))} are being taken over" if waiting else ""

    async def samples(self) -> list[Sample]:
        tenures = {
            number: owner.tenure
            for number, owner in sorted(self.orchestrator.owners.items())
            if owner.tenure is not None
        }
        lags = await self._lags(
            self.topics.instances, {number: tenure.position.start for number, tenure in tenures.items()}
        )
        behind = [
            Sample(
                "perdure_store_lag_records",
                max(0, tenure.marker_offset + 1 - tenure.behind.stored_to),
                (("partition", str(number)),),
            )
            for number, tenure in tenures.items()
        ]
        return [*of_stats(self.orchestrator.stats), *lags, *behind]


class WorkerRole(Role):
    name = "activity-worker"

    async def start(self) -> None:
        settings = self.settings
        self.worker = ActivityWorker(
            app=self.app,
            log=self.ports.log,
            clock=self.ports.clock,
            topics=self.topics,
            queue=settings.task_queue,
            slots=ThreadSlots(settings.threads),
            settings=replace(ActivitySettings(), drain_timeout_s=settings.drain_seconds * DRAIN_SHARE),
            on_exhausted=lambda: self.fail("too many activities hold a thread past their time-out"),
        )
        await self.worker.start()

    async def stop(self) -> None:
        await self.worker.stop()

    async def samples(self) -> list[Sample]:
        feeds = self.worker._feeds
        positions = {number: feed.watermark.low for number, feed in sorted(feeds.items())}
        lags = await self._lags(self.topics.activities(self.settings.task_queue), positions)
        return [*of_stats(self.worker.stats, "perdure_activities_"), *lags]


class TimerRole(Role):
    name = "timer"
    app_needed = False

    async def start(self) -> None:
        self.timers = TimerService(
            log=self.ports.log, store=self.ports.timers, clock=self.ports.clock, topics=self.topics
        )
        await self.timers.start()

    async def stop(self) -> None:
        await self.timers.stop()

    async def samples(self) -> list[Sample]:
        return [*of_stats(self.timers.stats, "perdure_timers_"), Sample("perdure_partitions", len(self.timers._shards))]


class GatewayRole(Role):
    """The App, if one is given, only tells names; requests name workflows by text."""

    name = "gateway"
    app_needed = False

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
        ports = self.ports
        self.transport = LogTransport(ports.log, ports.store, self.topics, ports.entropy, ports.clock)
        await self.transport.open()
        client = AsyncWorkflowClient(self.transport, app=self.app)
        self.server = GatewayServer(create_app(client, settings=self._gateway), self._gateway)
        await self.server.start()

    async def stop(self) -> None:
        # Long polls would keep the port open until they time out: their transport lets them go, with an answer.
        await asyncio.gather(self.server.stop(), self.transport.close())

    async def unready(self) -> str:
        await self.transport.check()
        return ""

    @property
    def tells(self) -> Mapping[str, str]:
        return {"gateway": self.server.url}


ROLES: Mapping[str, type[Role]] = {role.name: role for role in (OrchestratorRole, WorkerRole, TimerRole, GatewayRole)}

OpenPorts = Callable[[], Awaitable[Ports]]
