"""A cluster of orchestrator processes, with everything around them: workers, timers, clients."""

import asyncio
import itertools
import json

from perdure.adapters.memory import Fault, MemoryHistoryStore, MemoryLog
from perdure.assembly import topic_specs
from perdure.codec.avro import decode, encode
from perdure.core.commands import CompleteActivity, FireTimer, InspectInstance, StartWorkflow
from perdure.core.effects import SetTimer
from perdure.core.instance import Instance, apply
from perdure.core.names import Topics, partition_of
from perdure.ports.errors import StoreUnavailable
from perdure.ports.log import Outgoing, Writer
from perdure.roles.orchestrator import InlineDecider, Orchestrator, OrchestratorPorts, OrchestratorSettings
from perdure.workflow.code import Library
from tests.roles.timers.virtual import VirtualClock, run_virtually

from .journal import Journal, JournalBroker
from .programs import app_of

__all__ = ["Fault", "Node", "Store", "World", "run_virtually", "until"]


async def until(fact, deadline_s=600.0):
    """Wait for a fact, by the loop's clock; ever more patiently."""
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + deadline_s, 0.001
    while not (value := fact()):
        assert loop.time() < end, "it did not happen in time"
        await asyncio.sleep(pause)
        pause = min(pause * 1.1, 1.0)
    return value


class Store(MemoryHistoryStore):
    """One process's way to the store, which all share. Counts, refuses, waits; watches what is written.

    `broken`: what was stored and should not have been (not committed, or `stored_to` ahead of what is there).
    """

    def __init__(self, world, shared=None):
        super().__init__()
        if shared is not None:
            self._instances, self._stored_to, self._resting = shared._instances, shared._stored_to, shared._resting
        self.world = world
        self.dead = False
        self.loads = []
        self.appends = 0
        self.gate = asyncio.Event()  # closed: loads wait
        self.gate.set()
        self.append_error = None

    def _check_available(self):
        if self.dead:
            raise StoreUnavailable("the process is gone")
        if not self.world.store_available:
            raise StoreUnavailable("the history store was made unavailable")

    async def load(self, instance_ids, *, events=True):
        self.loads += instance_ids
        await self.gate.wait()
        await asyncio.sleep(self.world.slow_loads_s)
        return await super().load(instance_ids, events=events)

    async def append(self, partition, stored_to, position, turns):
        if self.append_error is not None:
            error, self.append_error = self.append_error, None
            raise error
        await asyncio.sleep(0)
        await super().append(partition, stored_to, position, turns)
        self.appends += 1
        self.world.watch_store(self, partition, stored_to, turns)


class NodeLog(MemoryLog):
    """One process's way to the broker. Close `gate`, and its commits wait; `held` tells that one does."""

    def __init__(self, broker, client_id):
        super().__init__(broker, client_id)
        self.gate, self.held = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.append_faults = []
        self.open_writers = 0

    def hold_commits(self):
        self.gate.clear()
        self.held.clear()

    async def open_writer(self, transactional_id):
        self.open_writers += 1
        return _GatedWriter(self, await super().open_writer(transactional_id))

    async def append(self, records):
        if self.append_faults:
            raise self.append_faults.pop(0)
        await super().append(records)


class _GatedWriter(Writer):
    def __init__(self, log, writer):
        self._log, self._writer = log, writer

    async def commit(self, records, *, consumed=None):
        if not self._log.gate.is_set():
            self._log.held.set()
            await self._log.gate.wait()
        return await self._writer.commit(records, consumed=consumed)

    async def close(self):
        self._log.open_writers -= 1
        await self._writer.close()


class Node:
    """One orchestrator process."""

    def __init__(self, world, name, *, app=None, decider=None, registry=None, **settings):
        self.world = world
        self.log = NodeLog(world.broker, name)
        self.store = Store(world, world.store)
        self.decider = decider or InlineDecider()
        defaults = {"owner": name, "write_behind_s": 0.05, "retry_s": 0.01, "retry_s_max": 0.1}
        self.settings = OrchestratorSettings(**defaults | settings)
        ports = OrchestratorPorts(self.log, self.store, world.clock, world.topics, registry)
        self.service = Orchestrator(ports, Library(app or world.app), self.decider, self.settings)

    @property
    def stats(self):
        return self.service.stats

    def serves(self, partition=0):
        owner = self.service.owners.get(partition)
        return owner is not None and owner.serving.is_set()

    async def start(self):
        await self.service.start()
        await self.service.ready()
        return self

    async def stop(self):
        await self.service.stop()
        self.decider.stop()

    def crash(self):
        """As if the process had died: nothing it still does reaches anything."""
        self.store.dead = True
        self.log.crash()
        self.log.gate.set()
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self):
        for task in self.service._tasks.values():
            task.cancel()


class Sight:
    """What is committed, folded as it comes: for tests that wait for a fact."""

    def __init__(self, broker, topics):
        self._broker, self._topics = broker, topics
        self._seen = 0
        self.instances, self.replies, self.markers, self.ends = {}, {}, {}, {}

    def look(self):
        writes = self._broker.writes
        for write in writes[self._seen :]:
            for record in write.records:
                self._take(record)
        self._seen = len(writes)
        return self

    def _take(self, record):
        topics = self._topics
        if record.topic == topics.history and not record.key:
            self.markers[record.partition] = decode(record.value)
        elif record.topic == topics.history:
            key = record.key.decode()
            apply(self.instances.setdefault(key, Instance(key)), decode(record.value))
        elif record.topic == topics.replies:
            reply = decode(record.value)
            self.replies[reply.correlation] = reply
        elif record.topic == topics.instances and not _is_question(record.value):
            self.ends[record.partition] = record.offset


def _is_question(value):
    try:
        return isinstance(decode(value), InspectInstance)
    except ValueError:
        return False


class World:
    def __init__(self, partitions=1, app=None):
        self.clock = VirtualClock()
        self.broker = JournalBroker(self.clock)
        self.topics = Topics("t")
        self.partitions = partitions
        self.app = app or app_of()
        self.log = MemoryLog(self.broker, "client")
        self.store_available = True
        self.slow_loads_s = 0.0
        self.store = Store(self)
        self.broken = []
        self.nodes = []
        self.ids = itertools.count(1)
        self.paused = set()  # activity inputs that no worker answers for now
        self.sight = Sight(self.broker, self.topics)
        self._positions = {}
        self._pump = None

    async def __aenter__(self):
        await self.log.create_topics(topic_specs(self.topics, self.partitions))
        self._pump = asyncio.create_task(self._run_pump())
        return self

    async def __aexit__(self, kind, error, trace):
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)
        if kind is not None:
            return
        for node in self.nodes:
            await node.stop()

    async def node(self, name=None, **options):
        node = Node(self, name or f"node-{len(self.nodes)}", **options)
        self.nodes.append(node)
        return await node.start()

    # -- clients --------------------------------------------------------------------------------------------

    def new_id(self, ahead_s=0.0):
        """As our clients mint them: 48 bits of milliseconds, version 7."""
        ms = (self.clock.now_us() + round(ahead_s * 1e6)) // 1000
        return f"{ms:012x}7{next(self.ids):019x}"

    def out(self, instance_id, command, partition=None, headers=()):
        home = partition_of(instance_id, self.partitions) if partition is None else partition
        return Outgoing(self.topics.instances, home, instance_id.encode(), encode(command), headers)

    async def send(self, instance_id, *commands):
        await self.log.append([self.out(instance_id, command) for command in commands])

    async def start(self, workflow, value=None, instance_id="", *, minted=False):
        """Ask for it, without waiting for the answer; the id."""
        key = instance_id or (self.new_id() if minted else f"i{next(self.ids)}")
        await self.send(key, StartWorkflow(workflow, json.dumps(value), f"start-{key}", minted=minted))
        return key

    async def ask(self, instance_id, command, timeout_s=60.0):
        """Send and re-send under one command id until it is answered; the reply."""
        if not command.command_id:
            command.command_id = f"c{next(self.ids)}"
        command.reply_to = f"0/{command.command_id}"
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while True:
            await self.send(instance_id, command)
            again = loop.time() + 10
            while loop.time() < again:
                if (reply := self.reply_to(command.command_id)) is not None:
                    return reply
                await asyncio.sleep(0.005)
            assert loop.time() < end, f"{command} was never answered"

    async def inspect(self, instance_id, until="now", *, detail=False):
        return await self.ask(instance_id, InspectInstance("", "", until, detail))

    def reply_to(self, command_id):
        return self.sight.look().replies.get(command_id)

    # -- workers and timers ---------------------------------------------------------------------------------

    async def _run_pump(self):
        while True:
            await self.broker.news.wait()
            self.broker.news.clear()
            await asyncio.sleep(0.002)
            for partition in range(self.partitions):
                for record in await self._news(self.topics.activities(), partition):
                    task = decode(record.value)
                    while task.input in self.paused:
                        await asyncio.sleep(0.01)
                    result = json.dumps(["done", json.loads(task.input)])
                    place = (task.run, task.generation, task.task_id, task.attempt)
                    await self.send(record.key.decode(), CompleteActivity(*place, result))
                for record in await self._news(self.topics.timers, partition):
                    timer = decode(record.value)
                    if isinstance(timer, SetTimer):
                        place = (timer.run, timer.generation, timer.task_id, timer.attempt, timer.kind)
                        await self.send(record.key.decode(), FireTimer(*place, timer.fire_at_us))

    async def _news(self, topic, partition):
        position = self._positions.get((topic, partition), 0)
        records = await self.log.fetch(topic, partition, position, 1000)
        if records:
            self._positions[topic, partition] = records[-1].offset + 1
        return records

    # -- seeing ---------------------------------------------------------------------------------------------

    @property
    def journal(self):
        return Journal(self.broker.writes, self.topics, self.partitions)

    def instance(self, instance_id):
        """The fold of what is committed."""
        return self.sight.look().instances.get(instance_id) or Instance(instance_id)

    def status(self, instance_id):
        return self.instance(instance_id).status

    def output(self, instance_id):
        text = self.instance(instance_id).output
        return json.loads(text) if text else None

    def dead_letters(self):
        """(key, value, headers as text)"""
        return [
            (key, value, {name: text.decode() for name, text in headers.items()})
            for key, value, headers in self.dead_letters_raw()
        ]

    def dead_letters_raw(self):
        """(key, value, headers as bytes)"""
        return [
            (record.key, record.value, dict(record.headers))
            for write in self.broker.writes
            for record in write.of(self.topics.dead_letters)
        ]

    async def ended(self, *instance_ids, deadline_s=600.0):
        await until(lambda: all(self.instance(each).ended for each in instance_ids), deadline_s)

    async def decided(self):
        """Every command in the log has been decided, and no commit is under way."""
        await until(self._all_decided)

    def _all_decided(self):
        sight = self.sight.look()
        for partition in range(self.partitions):
            marker = sight.markers.get(partition)
            if marker is None or marker.undecided or sight.ends.get(partition, -1) >= marker.next_offset:
                return False
        return True

    async def caught_up(self):
        """The store has all of it."""

        async def equal():
            try:
                await self.journal.check_store(self.store)
            except AssertionError:
                return False
            return True

        for _ in range(200):
            if await equal():
                return
            await asyncio.sleep(0.05)
        await self.journal.check_store(self.store)

    async def check(self):
        """All laws, at rest."""
        await self.decided()
        self.journal.check()
        await self.caught_up()
        assert not self.broken, self.broken

    def watch_store(self, store, partition, stored_to, turns):
        """Nothing uncommitted is stored, and all below stored_to is."""
        committed, below = {}, {}
        for write in self.broker.writes:
            for record in write.of(self.topics.history):
                if record.partition == partition and record.key:
                    event = decode(record.value)
                    committed.setdefault(record.key.decode(), set()).add((event.run, event.generation, event.seq))
                    if record.offset < stored_to:
                        below[record.key.decode()] = (event.run, event.generation, event.seq)
        for turn in turns:
            row = turn.row
            if (row.run, row.generation, row.last_seq) not in committed.get(row.instance_id, ()):
                self.broken.append(f"stored and not committed: {row}")
        for instance_id, (run, generation, seq) in below.items():
            held = store._instances.get(instance_id)
            if held is None or ((held.row.run, held.row.generation) == (run, generation) and held.row.last_seq < seq):
                self.broken.append(f"{instance_id} is not stored up to {stored_to}")
