"""Puts roles and adapters together. The only module that imports adapters (embedded, test kit and services come here).

An `Engine` is all roles over one set of ports in one event loop. What differs between a laptop, a test and a cluster is
which ports it is given and whether user code runs on threads; the roles do not know.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.client.log_transport import LogTransport
from perdure.core.errors import PerdureError
from perdure.core.names import Topics
from perdure.ports.clock import Clock, Entropy
from perdure.ports.log import Log, TopicSpec
from perdure.ports.store import HistoryStore, TimerStore
from perdure.roles.activities import ActivitySettings, ActivityWorker
from perdure.roles.activities.slots import InlineSlots, Slots, ThreadSlots
from perdure.roles.orchestrator import (
    Decider,
    InlineDecider,
    Orchestrator,
    OrchestratorPorts,
    OrchestratorSettings,
    ThreadDecider,
)
from perdure.roles.orchestrator.decider import Watch
from perdure.roles.timers import TimerService, TimerSettings
from perdure.workflow.app import App
from perdure.workflow.code import Library

if TYPE_CHECKING:
    from perdure.adapters.sqlite.reading import DatabaseReading

__all__ = [
    "Engine",
    "EngineFailed",
    "EngineSettings",
    "Ports",
    "memory_ports",
    "read_database",
    "sqlite_ports",
    "system_clock",
    "topic_specs",
]

log = structlog.get_logger("perdure.engine")


class EngineFailed(PerdureError):
    """The engine cannot go on in this process: the text says why and what to do."""


@dataclass(slots=True)
class Ports:
    """Everything outside. `close` gives it back."""

    log: Log
    store: HistoryStore
    timers: TimerStore
    clock: Clock
    entropy: Entropy
    close: Callable[[], Awaitable[None]]


@dataclass(slots=True)
class EngineSettings:
    """Of one engine process."""

    namespace: str = "perdure"
    partitions: int = 1
    threads: int = 16  # for plain activities
    inline: bool = False  # user code on the loop itself: the test kit and the simulation
    turn_seconds_max: float = 2.0
    orchestrator: OrchestratorSettings = field(default_factory=OrchestratorSettings)
    activities: ActivitySettings = field(default_factory=ActivitySettings)
    timers: TimerSettings = field(default_factory=TimerSettings)


def topic_specs(topics: Topics, partitions: int) -> list[TopicSpec]:
    """The topics of a namespace. instances, history, timers and activities share the partition count."""
    names = (topics.instances, topics.history, topics.timers, topics.activities(), topics.dead_letters)
    return [*(TopicSpec(name, partitions) for name in names), TopicSpec(topics.replies, 1)]


async def sqlite_ports(path: Path, topics: Topics, *, after_commit: Callable[[int], None] | None = None) -> Ports:
    """One file: log, store and timers. Raises DatabaseInUse, DatabaseDamaged."""
    from perdure.adapters.sqlite import (  # noqa: PLC0415 - not needed by a service on Kafka
        SqliteHistoryStore,
        SqliteLog,
        SqliteTimerStore,
        open_database,
    )

    clock = SystemClock()
    database = await open_database(path, clock=clock, after_commit=after_commit)
    return Ports(
        SqliteLog(database),
        SqliteHistoryStore(database, topics),
        SqliteTimerStore(database),
        clock,
        SystemEntropy(),
        database.close,
    )


def read_database(path: Path) -> DatabaseReading:
    """A database file for reading only, beside the engine that owns it. Raises DatabaseDamaged, StoreUnavailable."""
    from perdure.adapters.sqlite.reading import DatabaseReading  # noqa: PLC0415

    return DatabaseReading(path)


def system_clock() -> Clock:
    return SystemClock()


def memory_ports(clock: Clock, entropy: Entropy, *, beside: Ports | None = None) -> Ports:
    """Nothing outlives the process. `beside`: another client of that one's broker and stores, as another process is."""
    from perdure.adapters.memory import (  # noqa: PLC0415
        MemoryBroker,
        MemoryHistoryStore,
        MemoryLog,
        MemoryTimerStore,
    )

    if beside is not None and isinstance(beside.log, MemoryLog):
        shared = MemoryLog(beside.log.broker)
        return Ports(shared, beside.store, beside.timers, clock, entropy, shared.close)
    memory_log = MemoryLog(MemoryBroker(clock))
    return Ports(memory_log, MemoryHistoryStore(), MemoryTimerStore(), clock, entropy, memory_log.close)


GC_THRESHOLDS_DEFAULT = ((700, 10, 10), (2_000, 10, 10), (2_000, 10, 0))  # of CPython 3.11 to 3.14
GC_THRESHOLDS = (20_000, 20, 20)


def relax_collector() -> None:
    """Let the cyclic collector look less often: thousands of waiting instances are no garbage.

    Measured on sequences of five activities: a fifth of all CPU. An application that set its own thresholds keeps them.
    """
    if gc.get_threshold() in GC_THRESHOLDS_DEFAULT:
        gc.set_threshold(*GC_THRESHOLDS)


class Engine:
    """All roles in the running event loop: `start`, use `transport`, `stop`."""

    def __init__(
        self, app: App, ports: Ports, settings: EngineSettings | None = None, *, watch: Watch | None = None
    ) -> None:
        self.app = app
        self.ports = ports
        self.settings = settings or EngineSettings()
        self.topics = Topics(self.settings.namespace)
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()  # services drain and exit when it is set
        self._watch = watch
        self._decider: Decider | None = None
        self._started = False

    async def start(self) -> None:
        """Returns when every partition is served. Raises what keeps a role from starting."""
        ports, settings = self.ports, self.settings
        relax_collector()
        await ports.log.create_topics(topic_specs(self.topics, settings.partitions))
        self._decider, slots = self._executors()
        owner = f"{settings.orchestrator.owner}-{ports.entropy.bytes(6).hex()}"  # unique per life of a process
        self.orchestrator = Orchestrator(
            OrchestratorPorts(ports.log, ports.store, ports.clock, self.topics),
            Library(self.app),
            self._decider,
            dataclasses.replace(settings.orchestrator, owner=owner),
            on_failure=self._fail,
        )
        self.worker = ActivityWorker(
            app=self.app,
            log=ports.log,
            clock=ports.clock,
            topics=self.topics,
            slots=slots,
            settings=settings.activities,
            on_exhausted=lambda: self._fail("too many activities hold a thread past their time-out"),
        )
        self.timers = TimerService(
            log=ports.log, store=ports.timers, clock=ports.clock, topics=self.topics, settings=settings.timers
        )
        self.transport = LogTransport(ports.log, ports.store, self.topics, ports.entropy, ports.clock)
        self._started = True
        try:
            await self.timers.start()
            await self.worker.start()
            await self.orchestrator.start()
            await self.orchestrator.ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Drain, store, close. Twice is harmless."""
        if not self._started:
            await self.ports.close()
            return
        self._started = False
        await self.transport.close()
        await self.worker.stop()
        await self.orchestrator.stop()
        await self.timers.stop()
        if self._decider is not None:
            self._decider.stop()
        await self.ports.close()

    def _executors(self) -> tuple[Decider, Slots]:
        if self.settings.inline:
            return InlineDecider(self._watch), InlineSlots()
        decider = ThreadDecider(
            asyncio.get_running_loop(),
            watch=self._watch,
            turn_seconds_max=self.settings.turn_seconds_max,
            on_exhausted=lambda: self._fail("too many orchestrators never returned and hold their threads"),
        )
        return decider, ThreadSlots(self.settings.threads)

    def _fail(self, reason: str) -> None:
        failure = EngineFailed(f"{reason}: the process has to be restarted; nothing accepted is lost")
        self.failure = self.failure or failure
        log.error("the engine cannot go on", reason=reason)
        if self._started:
            self.transport.abort(failure)
        self.failed.set()
