"""Puts roles and adapters together. The only module that imports adapters (embedded, test kit and services come here).

An `Engine` is all roles over one set of ports in one event loop. What differs between a laptop, a test and a cluster is
which ports it is given and whether user code runs on threads; the roles do not know.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import SecretStr

from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.client.errors import EngineUnavailable
from perdure.client.log_transport import LogTransport
from perdure.codec.encoder import Encoder
from perdure.codec.versions import OLDEST, marked
from perdure.collector import relax_collector
from perdure.core.errors import PerdureError
from perdure.core.names import Topics
from perdure.ports.clock import Clock, Entropy
from perdure.ports.errors import PortError
from perdure.ports.groups import Groups
from perdure.ports.log import Log, TopicSpec
from perdure.ports.registry import SchemaRegistry
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
    from perdure.adapters.cassandra import CassandraSettings
    from perdure.adapters.kafka import KafkaLog, KafkaSettings
    from perdure.adapters.sqlite.reading import DatabaseReading
    from perdure.services.settings import ServiceSettings

__all__ = [
    "Engine", "EngineFailed", "EngineSettings", "Findings", "Ports", "cassandra_settings", "check_log_limits",
    "kafka_cassandra_ports", "kafka_log", "kafka_settings", "memory_ports", "read_database", "relax_collector",
    "sqlite_ports", "system_clock", "topic_specs",
]  # fmt: skip

log = structlog.get_logger("perdure.engine")


class EngineFailed(PerdureError):
    """The engine cannot go on in this process: the text says why and what to do."""


Findings = tuple[list[str], list[str]]
"""What has to be put right, and what is worth knowing, in sentences."""


async def _nothing_found() -> Findings:
    return [], []


@dataclass(slots=True)
class Ports:
    """Everything outside. `close` gives it back. `store_limits` compares the store's limits with what is written to it.
    `encode` writes for all that goes there, and the process raises it when the namespace's write version is raised.
    """

    log: Log
    store: HistoryStore
    timers: TimerStore
    clock: Clock
    entropy: Entropy
    close: Callable[[], Awaitable[None]]
    store_limits: Callable[[], Awaitable[Findings]] = _nothing_found
    registry: SchemaRegistry | None = None  # of writers' schemas, for commands in Confluent's framing
    encode: Encoder = field(default_factory=Encoder)
    groups: Groups | None = None  # who reads what: of a log that other processes have, too


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
    """The topics of a namespace. instances, history, timers and activities share the partition count; dead letters and their marks have it, too."""
    names = (
        topics.instances, topics.history, topics.timers, topics.activities(), topics.dead_letters,
        topics.dead_letter_marks,
    )  # fmt: skip
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


# -- services: one role in a process, on Kafka and Cassandra ---------------------------------------------------

TLS_FILES = ("CA_FILE", "CERTIFICATE_FILE", "KEY_FILE", "KEY_PASSWORD")
CREDENTIALS = ("username", "password", *map(str.lower, TLS_FILES))


def kafka_settings(settings: ServiceSettings, client_id: str) -> KafkaSettings:
    """What the environment says of Kafka, as its adapter takes it."""
    from perdure.adapters.kafka import KafkaSecurity, KafkaSettings  # noqa: PLC0415

    transport = "SSL" if settings.kafka_tls else "PLAINTEXT"
    protocol = transport if settings.kafka_username is None else f"SASL_{transport}"
    mechanism = settings.kafka_mechanism or "PLAIN"
    security = KafkaSecurity(protocol=protocol, mechanism=mechanism, **_credentials(settings, "kafka"))
    _check_files("KAFKA", security.options)
    copies, insync = settings.replication, settings.insync_min
    return KafkaSettings(settings.kafka_servers, security, marked(client_id), replication=copies, insync_min=insync)


def cassandra_settings(settings: ServiceSettings) -> CassandraSettings:
    """What the environment says of Cassandra, as its adapter takes it."""
    from perdure.adapters.cassandra import CassandraSecurity, CassandraSettings  # noqa: PLC0415

    security = CassandraSecurity(tls=settings.cassandra_tls, **_credentials(settings, "cassandra"))
    _check_files("CASSANDRA", security.ssl_context)
    data_centre = settings.cassandra_datacenter or ""
    return CassandraSettings(settings.cassandra_hosts, settings.keyspace, security, local_dc=data_centre)


def _credentials(settings: ServiceSettings, side: str, names: Sequence[str] = CREDENTIALS) -> dict[str, Any]:
    """The only place where secrets are revealed: the adapters keep them out of their repr."""
    given = {name: getattr(settings, f"{side}_{name}") for name in names}
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in given.items()
        if value is not None
    }


ASKS_REGISTRY: Final = ("orchestrator", "subscriber", "gateway")
"""Roles that read what others wrote in Confluent's framing: commands, messages, and messages that are replayed."""


def schema_registry(settings: ServiceSettings) -> SchemaRegistry | None:
    """What the environment says of a schema registry; nothing is asked of it yet. Raises PortError."""
    from perdure.adapters.registry import HttpRegistry, RegistrySecurity  # noqa: PLC0415

    if settings.schema_registry is None:
        return None
    security = RegistrySecurity(**_credentials(settings, "schema_registry", ("username", "password", "ca_file")))
    _check_files("SCHEMA_REGISTRY", security.ssl_context, ("CA_FILE",))
    return HttpRegistry(settings.schema_registry, security)


async def kafka_log(settings: ServiceSettings, client_id: str) -> KafkaLog:
    """Connected. Raises PortError, naming the servers, if none answers."""
    from perdure.adapters.kafka import KafkaLog  # noqa: PLC0415

    opened = KafkaLog(kafka_settings(settings, client_id))
    await opened.connect()
    return opened


async def check_log_limits(opened: Log, topics: Sequence[str]) -> Findings:
    """Of topics and brokers. Raises LogUnavailable."""
    from perdure.adapters.kafka import KafkaLog  # noqa: PLC0415

    if not isinstance(opened, KafkaLog):
        return [], []
    findings = await opened.check_limits(topics)
    return findings.wrong, findings.notes


async def kafka_cassandra_ports(settings: ServiceSettings, role: str, owner: str) -> Ports:
    """A process's way to both clusters. Raises PortError, StoreUnavailable, telling which does not answer and why."""
    from perdure.adapters import cassandra  # noqa: PLC0415

    clock = SystemClock()
    registry = schema_registry(settings) if role in ASKS_REGISTRY else None
    opened = await kafka_log(settings, f"perdure-{role}-{owner}")
    try:
        driver = await cassandra.open_driver(cassandra_settings(settings))
    except BaseException:
        await opened.close()
        raise

    async def close() -> None:
        # At once: where Kafka does not answer, its close outlasts the caller's patience, and the session would stay.
        await asyncio.gather(opened.close(), driver.close(), *([registry.close()] if registry else []))

    encode = Encoder(OLDEST)  # until the namespace's write version is read
    store = cassandra.CassandraHistoryStore(driver, settings.namespace, encode)
    timers = cassandra.CassandraTimerStore(driver, settings.namespace)
    limits = partial(cassandra.check_limits, driver)
    return Ports(opened, store, timers, clock, SystemEntropy(), close, limits, registry, encode, opened.groups)


def _check_files(side: str, read: Callable[[], object], names: Sequence[str] = TLS_FILES) -> None:
    """Certificates and keys that cannot be used are told before anything is connected."""
    try:
        read()
    except OSError as error:
        files = ", ".join(f"PERDURE_{side}_{name}" for name in names)
        raise PortError(f"the files for TLS cannot be used ({error.strerror or error}): check {files}") from None


WORKER_RESTARTS_MAX = 4
"""Times an engine replaces a worker whose threads are held by activities past their time-out; then it gives up."""


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
        self.worker_restarts = 0
        self._restarting: asyncio.Task[None] | None = None
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
            OrchestratorPorts(
                ports.log, ports.store, ports.clock, self.topics, registry=ports.registry, encode=ports.encode
            ),
            Library(self.app),
            self._decider,
            dataclasses.replace(settings.orchestrator, owner=owner),
            on_failure=self._fail,
            on_trouble=self._tell_clients,
        )
        self.worker = self._make_worker(slots)
        self.timers = TimerService(
            log=ports.log, store=ports.timers, clock=ports.clock, topics=self.topics, settings=settings.timers,
            on_failure=self._part_failed, encode=ports.encode,
        )  # fmt: skip
        self.transport = LogTransport(
            ports.log, ports.store, self.topics, ports.entropy, ports.clock, encode=ports.encode
        )
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
        if self._restarting is not None:
            await asyncio.gather(self._restarting, return_exceptions=True)
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

    def _make_worker(self, slots: Slots) -> ActivityWorker:
        ports = self.ports
        return ActivityWorker(
            app=self.app, log=ports.log, clock=ports.clock, topics=self.topics, slots=slots,
            settings=self.settings.activities, on_exhausted=self._worker_is_exhausted, on_failure=self._part_failed,
            encode=ports.encode,
        )  # fmt: skip

    def _worker_is_exhausted(self) -> None:
        """It has drained. Its stuck threads cannot be stopped; a new worker gets new ones, a bounded number of times."""
        self.worker_restarts += 1
        if self.worker_restarts > WORKER_RESTARTS_MAX:
            self._fail("too many activities hold a thread past their time-out")
        elif self._started:
            log.error("activities hold too many threads past their time-out; the worker begins anew with others")
            self._restarting = asyncio.get_running_loop().create_task(self._restart_worker())

    async def _restart_worker(self) -> None:
        await self.worker.stop()
        self.worker = self._make_worker(ThreadSlots(self.settings.threads))
        await self.worker.start()

    def _tell_clients(self, error: Exception) -> None:
        """A partition cannot be served for a while: whoever waits now is told why, instead of nothing."""
        self.transport.fail_pending(
            EngineUnavailable(f"{error}. The request may still take effect: repeat it under the same command ID")
        )

    def _part_failed(self, error: BaseException) -> None:
        """Of timers or activities: what it served is not served any more, in this process."""
        self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, reason: str) -> None:
        failure = EngineFailed(f"{reason}: the process has to be restarted; nothing accepted is lost")
        self.failure = self.failure or failure
        log.error("the engine cannot go on", reason=reason)
        if self._started:
            self.transport.abort(failure)
        self.failed.set()
