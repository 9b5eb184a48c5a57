"""A simulated process that is a service: the real one, with its lives, its watchdog, its drain, on simulated ports.

Only what touches the machine is another: no HTTP for probes, user code on the loop instead of on threads.
"""

from __future__ import annotations

from dataclasses import replace

from perdure.assembly import Ports
from perdure.codec.encoder import Encoder
from perdure.codec.versions import OLDEST, newest
from perdure.core.names import Topics
from perdure.ports.clock import Clock, Entropy
from perdure.roles.activities import ActivitySettings
from perdure.roles.activities.slots import InlineSlots
from perdure.roles.orchestrator import InlineDecider
from perdure.roles.timers import TimerSettings
from perdure.services.process import Process as Service
from perdure.services.roles import OrchestratorRole, SubscriberRole, TimerRole, WorkerRole
from perdure.services.settings import ServiceSettings
from tests.simulation.workload.programs import make_app
from tests.simulation.world.log import SimulatedLog
from tests.simulation.world.network import Host
from tests.simulation.world.stores import SimulatedHistoryStore, SimulatedTimerStore
from tests.simulation.world.strangers import Registry

NAMESPACE = "sim"
TOPICS = Topics(NAMESPACE)
PATIENCE_S = 6.0  # with a schema registry that does not answer


class ProcessClock(Clock):
    def __init__(self, process):
        self._process = process

    def now_us(self):
        return self._process.world.now_us() + self._process.skew_us


class ProcessEntropy(Entropy):
    def __init__(self, random):
        self._random = random

    def bytes(self, count):
        return self._random.randbytes(count)


class NoProbes:
    """A process that nobody probes."""

    url = ""

    def __init__(self, host, port, *, unready, metrics):
        pass

    async def start(self):
        pass

    async def stop(self):
        pass


def open_ports(process):
    """What one life of a role stands on. A namespace whose write version is no matter is written at the newest one."""
    world, host = process.world, Host(process.world, process)
    process.hosts.append(host)
    log = SimulatedLog(host)
    store, timers = SimulatedHistoryStore(host, world.store), SimulatedTimerStore(host, world.timers)
    return Ports(
        log, store, timers, ProcessClock(process), ProcessEntropy(process.random), log.close,
        registry=Registry(host) if "published" in world.scenario else None,
        encode=Encoder(OLDEST if "writes" in world.scenario else newest()),
    )  # fmt: skip


class Orchestrator(OrchestratorRole):
    def make_decider(self):
        return InlineDecider()


class Worker(WorkerRole):
    def make_slots(self):
        return InlineSlots()


def roles_with(bounds):
    """The roles, with caches and durations that fit a short and crowded simulation."""
    orchestrator = type("Orchestrator", (Orchestrator,), {"bounds": bounds["orchestrator"]})
    worker = type("Worker", (Worker,), {"bounds": bounds["activity-worker"]})
    timer = type("Timer", (TimerRole,), {"bounds": bounds["timer"]})
    return {"orchestrator": orchestrator, "activity-worker": worker, "timer": timer, "subscriber": SubscriberRole}


def bounds_of(given):
    """Plain numbers of a scenario as settings of the roles."""
    return {
        "orchestrator": replace(OrchestratorRole.bounds, **given["orchestrator"]),
        "activity-worker": replace(ActivitySettings(), **given["activity-worker"]),
        "timer": replace(TimerSettings(), **given["timer"]),
    }


def service_main(world, roles):
    """`main` of a process of any of these roles."""

    async def main(process):
        process.hosts = []
        service = Service(
            process.role, make_app(lambda line: world.write_down(process, line), process.version), world.settings,
            announce=lambda told: world.trace(process.name, "is ready"),
            open_ports=lambda settings, role, owner: _opened(process),
            roles=roles, probes=NoProbes, identity=lambda: process.name,
        )  # fmt: skip
        world.deployed(process)
        process.service = service
        process.stopping = service.stop
        await service.run()

    return main


async def _opened(process):
    return open_ports(process)


def settings_for(partitions, retention=None):
    """`retention`: of the scenario; None: everything is kept, history until it is stored."""
    kept = retention or {"retain": "", "per_second": 50.0, "history_s": 0.0, "dead_letters_s": 0.0}
    return ServiceSettings(
        log="kafka://simulated:1", store="cassandra://simulated:1/simulated", namespace=NAMESPACE, partitions=partitions,
        stall_seconds=10, start_seconds=60, drain_seconds=15, health_port=0,
        retain=kept["retain"], retain_per_second=kept["per_second"], history_hours=kept["history_s"] / 3_600,
        dead_letter_days=kept["dead_letters_s"] / 86_400, schema_registry_seconds=PATIENCE_S,
    )  # fmt: skip
