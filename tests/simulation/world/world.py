"""The whole of a simulation: time, servers, processes, and what is written down about them."""

from __future__ import annotations

import asyncio
import json
import random as random_of
from dataclasses import asdict, replace

from perdure.adapters.memory import MemoryTimerStore
from perdure.assembly import topic_specs
from perdure.ports.log import Outgoing, TopicSpec
from perdure.services.layout import Layout, layout_topic
from tests.simulation.evidence import Deletion
from tests.simulation.scenario import GROUPS, SERVICES
from tests.simulation.world.broker import SESSION_S, Broker
from tests.simulation.world.cells import CellStore
from tests.simulation.world.clients import client_main
from tests.simulation.world.loop import SimulationLoop
from tests.simulation.world.network import JOURNEY_S, Rates
from tests.simulation.world.operators import operator_main
from tests.simulation.world.process import RESTART_S, Process
from tests.simulation.world.services import NAMESPACE, TOPICS, bounds_of, roles_with, service_main, settings_for
from tests.simulation.world.strangers import Strangers, declare

START_US = 1_767_225_600_000_000
HEARTBEAT_S = 2.0
SOON_S = 10.0
AGAIN_S_MAX = 30.0
OPERATORS = (0, 1)


class World:
    """Made of a scenario (see scenario.py). `play` in run.py drives it."""

    def __init__(self, scenario):
        self.seed = scenario["seed"]
        self.scenario = scenario
        self.ops = scenario["ops"]
        self.partitions = scenario["partitions"]
        self.learns = "writes" in scenario  # clients ask for the namespace's write version
        self.random = random_of.Random(f"world {self.seed}")
        self.loop = SimulationLoop(random_of.Random(f"order {self.seed}"))
        self.loop.on_complaint = lambda text: self.trace("asyncio", text)
        self.start_us = START_US
        self.over = False
        self.rates = {"log": Rates(), "store": Rates()}
        self.settings = settings_for(self.partitions, scenario.get("retention"))
        self.bounds = bounds_of(scenario["bounds"])
        self.broker = Broker(self)
        self.store = CellStore()
        self.timers = MemoryTimerStore()
        self.readers = []
        self.ledger = []
        self.answers = {}
        self.deployments = []
        self.poison = []
        self.lines = []  # the trace
        self.remains = []  # tasks of the dead: never resumed, and never collected either
        self.deletions = []
        self.exits = []  # (process, error)
        self.skews_us = [0]
        self.registry_troubles = []  # names of those that last
        self.registry_log = []  # (from, to) by the world's clock: when it could not be asked; to 0: still
        self.settlements = []  # what operators were told: (when, request, what, Settlement)
        self.chosen, self.errands_done = {}, set()  # of operators' errands, by number
        self.strangers = Strangers(self)
        self._down, self._slow = {}, {}
        self.processes = {}
        self._make_processes()

    def _make_processes(self):
        self.serve = service_main(self, roles_with(self.bounds))
        for role in SERVICES:
            for number in range(self.scenario["counts"].get(role, 0)):
                self.add(role, number)
        for number in range(self.scenario["clients"]):
            process = Process(self, "client", number, client_main(self, number))
            self.processes[process.role, number] = process
        for number in OPERATORS if "errands" in self.scenario else ():
            self.processes["operator", number] = Process(self, "operator", number, operator_main(self, number))

    def add(self, role, number):
        process = self.processes[role, number] = Process(self, role, number, self.serve)
        return process

    def create_topics(self, epoch=0):
        """What bootstrap does; once the log was lost (`epoch`), an upgrade follows it, as `perdure restore` needs one."""
        self.broker.create_topics([*topic_specs(TOPICS, self.partitions), TopicSpec(layout_topic(TOPICS), 1)])
        layout = replace(Layout(self.partitions).raised() if epoch else Layout(self.partitions), epoch=epoch)
        value = json.dumps(asdict(layout)).encode()
        self.broker.append([Outgoing(layout_topic(TOPICS), 0, NAMESPACE.encode(), value)], "bootstrap")
        if "source" in self.scenario:
            declare(self, TOPICS)

    # -- time and what is written down ------------------------------------------------------------------------

    def now_us(self):
        return START_US + int(self.loop.time() * 1e6)

    def trace(self, who, what, *more):
        self.lines.append((self.loop.time(), who, what, more))

    def write_down(self, process, line):
        """The ledger of the activities, outside of every process."""
        self.ledger.append({**line, "at_us": self.now_us(), "process": process.name})
        self.trace(process.name, f"runs {line['activity']}", line["key"])

    def deployed(self, process):
        self.deployments.append({"at_us": self.now_us(), "process": process.name, "version": process.version})

    def note_deletion(self, topic, partition, offset):
        stored_to = self.store._stored_to.get(partition, 0)
        self.deletions.append(Deletion(topic, partition, offset, self.now_us(), stored_to))

    def note_exit(self, process, error):
        """Who exits soon after its start is started again later and later, as pods are."""
        self.exits.append((process.name, error))
        if self.loop.time() - process.started_at < SOON_S:
            process.again_s = min(2 * process.again_s, AGAIN_S_MAX)
            process.down_s = process.again_s

    def ops_of(self, client):
        return [index for index, op in enumerate(self.ops) if op["client"] == client]

    # -- servers ----------------------------------------------------------------------------------------------

    def journey_s(self):
        return self.random.random() * (JOURNEY_S + self.slowness_s("log"))

    def some(self, random, most):
        """How many records an answer has, of so many at most: sometimes few, though there are more."""
        return min(most, random.choice((1, 7, most, most)))

    def is_down(self, server):
        return self._down.get(server, 0) > 0

    def slowness_s(self, server):
        return self._slow.get(server, 0.0)

    def take_down(self, server, by):
        self._down[server] = self._down.get(server, 0) + by

    def make_slow(self, server, by_s):
        self._slow[server] = by_s

    # -- processes and their sessions -------------------------------------------------------------------------

    def later(self, seconds, work, *arguments):
        return self.loop.call_later(seconds, work, *arguments, context=self.loop.world.context)

    def keep_remains(self, lane):
        prefix = f"{lane.name}#"
        self.remains += [task for task in asyncio.all_tasks(self.loop) if task.get_name().startswith(prefix)]

    def gone(self, process, lane):
        """A life has ended. The brokers hear of it by its silence, if it has not said goodbye."""
        for host in process.hosts:
            if not host.closed:
                host.closed = True
                self.later(SESSION_S, self._forget, host)
        if process.wanted and not self.over:
            self.later(process.down_s, self._restart, process)
            process.down_s = RESTART_S

    def _restart(self, process):
        if process.wanted and not process.running and not self.over:
            process.start()

    def members(self, host):
        """Those that are still joining, too."""
        for group in self.broker.groups._groups.values():
            host.members += [each for each in group.members if each._listener.host is host and each not in host.members]
        return host.members

    def _forget(self, host):
        for member in self.members(host):
            if not member.left:
                member.vanish()

    def joined(self, host):
        """It may have died, or given up, or fallen silent, while it waited for that."""
        if host.closed or host.lane.dead:
            self.later(SESSION_S, self._forget, host)
        elif not host.process.heartbeats:
            self.reachability_changed(host.process)

    def left(self, host):
        """It has closed its log: whoever could not say goodbye is forgotten after a while."""
        self.later(SESSION_S, self._forget, host)

    def reachability_changed(self, process):
        """The group's coordinator misses a member after its session time-out, and tells it when it is heard of again."""
        if process.heartbeats:
            process.silent_since = None
            self.later(self.random.random() * HEARTBEAT_S, self._hear_again, process, process.life)
        else:
            process.silent_since = since = self.loop.time()
            self.later(SESSION_S, self._miss, process, process.life, since)

    def _miss(self, process, life, since):
        if process.life == life and process.running and not process.heartbeats and process.silent_since == since:
            if self.is_down("log"):
                self.later(SESSION_S, self._miss, process, life, since)
                return
            self.trace("broker", "misses", process.name)
            for host in process.hosts:
                for member in self.members(host):
                    self.expel(member)

    def expel(self, member):
        if member in member.group.members and not member.leaving:
            member.expelled = True
            member.group.expel(member)

    def _hear_again(self, process, life):
        if process.life == life and process.heartbeats:
            for host in process.hosts:
                if not host.closed:
                    for member in self.members(host):
                        self.revive(member)

    def revive(self, member):
        if getattr(member, "expelled", False) and not member.left and member not in member.group.members:
            member.expelled = False
            member.group.revive(member)

    def leave_out(self, told, seconds):
        """It has given up what it had, and asks too late for a part of what is shared out now."""
        for member in self.members(told.host):
            if member._listener is told:
                self.trace("broker", "goes on without", told.host.name)
                self.expel(member)
                self.later(seconds, self.revive, member)

    def group_of(self, role):
        return self.broker.groups._groups.get(GROUPS[role])

    def silence(self):
        """The end of everything: whatever still runs finds that nothing answers."""
        self.over = True
