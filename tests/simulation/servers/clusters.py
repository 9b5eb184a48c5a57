"""The simulated brokers and stores as a cluster of the conformance suite: without faults they are what the ports say."""

from __future__ import annotations

import asyncio
import contextvars
import random
from types import SimpleNamespace

from perdure.adapters.memory import MemoryTimerStore
from tests.conformance.clusters import Cluster, SteppingClock
from tests.simulation.world.broker import Broker
from tests.simulation.world.cells import CellStore
from tests.simulation.world.log import LAZY_S, SimulatedLog
from tests.simulation.world.loop import Lane
from tests.simulation.world.network import Host, Rates
from tests.simulation.world.stores import SimulatedHistoryStore, SimulatedTimerStore


class Loop:
    """The running loop, with a lane of the world's as the simulation's own has."""

    def __init__(self):
        self._loop = asyncio.get_running_loop()
        self.world = SimpleNamespace(context=contextvars.copy_context())

    def __getattr__(self, name):
        return getattr(self._loop, name)


class CalmWorld:
    """What servers and hosts need of a world in which nothing goes wrong."""

    def __init__(self):
        self.loop = Loop()
        self.over = False
        self.rates = {"log": Rates(), "store": Rates()}
        self.clock = SteppingClock()
        self.broker = Broker(self)
        self.readers = []

    def now_us(self):
        return self.clock.now_us()

    def trace(self, *what):
        pass

    def note_deletion(self, topic, partition, offset):
        pass

    def journey_s(self):
        return 0.0

    def some(self, random, most):
        return most

    def is_down(self, server):
        return False

    def slowness_s(self, server):
        return 0.0

    def joined(self, host):
        """Nobody dies while it joins."""

    def left(self, host):
        """Nobody leaves without a word."""


class SimulatedCluster(Cluster):
    """A crash loses the clients, at once known to the brokers."""

    def __init__(self):
        self.shared = CellStore(), MemoryTimerStore()
        self._hosts = []
        self._logs = []
        self.world = None

    async def open(self):
        if self.world is None:
            self.world = CalmWorld()
        self.log = self.client()
        host = self._hosts[-1]
        self.store = SimulatedHistoryStore(host, self.shared[0])
        self.timers = SimulatedTimerStore(host, self.shared[1])

    def shorten_sessions(self, seconds):
        self.world.broker.groups._session_s = seconds

    def client(self):
        name = f"client-{len(self._hosts)}"
        process = SimpleNamespace(
            lane=Lane(name), name=name, random=random.Random(name), slowness_s=0.0, cut_from=set()
        )
        self._hosts.append(Host(self.world, process))
        self._logs.append(SimulatedLog(self._hosts[-1]))
        return self._logs[-1]

    async def lazy_is_stored(self, _membership):
        """Within a second, as with Kafka."""
        await asyncio.sleep(LAZY_S + 0.1)

    async def crash(self):
        for host in self._hosts:
            host.closed = host.lane.dead = True
            for group in self.world.broker.groups._groups.values():
                for member in [each for each in group.members if each._listener.host is host]:
                    member.vanish()
        for producer in list(self.world.broker._open):
            self.world.broker.abort(producer)  # as its time-out does
        self._hosts.clear()
        self._logs.clear()
        await self.open()

    async def reopen(self):
        await self.close()
        await self.open()

    async def close(self):
        await asyncio.gather(*(log.close() for log in self._logs))
        self._hosts.clear()
        self._logs.clear()
