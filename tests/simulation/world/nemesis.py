"""Does the faults of a scenario, each at its time (scenario.py tells what each is), and undoes them at the end."""

from __future__ import annotations

import random as random_of

from perdure.codec.avro import encode
from perdure.core.commands import RaiseEvent
from perdure.core.names import partition_of
from perdure.ports.errors import CommitFailed
from perdure.ports.log import Outgoing
from tests.faults.records import decode
from tests.simulation.scenario import ROLES
from tests.simulation.world.network import Rates
from tests.simulation.world.services import TOPICS

ENGINE_SENDS = ("CompleteActivity", "FailActivity", "CompleteChild", "FailChild", "FireTimer", "BeginGeneration")


class Nemesis:
    """`done`: how many faults have struck; one that finds nothing to strike at does not count."""

    def __init__(self, world):
        self.world = world
        self.done = 0
        self._undo = {}  # by number: what ends a fault that lasts
        self._numbers = iter(range(1 << 30))

    def begin(self):
        for fault in self.world.scenario["faults"]:
            self.world.later(fault["at"], self._do, fault)

    def _do(self, fault):
        if not self.world.over:
            self.world.trace("nemesis", fault["kind"], {k: v for k, v in fault.items() if k not in ("at", "kind")})
            self.done += getattr(self, f"_{fault['kind']}")(fault) is not False

    def _strikes(self, work):
        """A fault that comes a little later, if it comes."""

        def strike():
            self.done += 1
            work()

        return strike

    def heal(self):
        """No fault from now on; what lasts ends."""
        for number in list(self._undo):
            self._end(number)
        for process in self.world.processes.values():
            process.wanted = True
            process.version = 1
            process.disarm()
            process.go_on()
            process.mend()
            if not process.running:
                process.start()
        self._redeploy(lambda process: process.service_version != 1)

    def _lasts(self, fault, undo):
        number = next(self._numbers)
        self._undo[number] = undo
        self.world.later(fault["seconds"], self._end, number)

    def _end(self, number):
        undo = self._undo.pop(number, None)
        if undo is not None:
            undo()

    def _process(self, fault):
        return self.world.processes.get((fault["role"], fault["number"]))

    def _of_role(self, role):
        return [
            each for each in self.world.processes.values() if each.role == role or (not role and each.role in ROLES)
        ]

    # -- processes --------------------------------------------------------------------------------------------

    def _crash(self, fault):
        process = self._process(fault)
        process.down_s = fault["down_s"]
        process.after(fault["after"], self._strikes(process.crash))
        return False

    def _crash_all(self, fault):
        for process in self._of_role(fault["role"]):
            process.down_s = fault["down_s"]
            process.crash()

    def _stop(self, fault):
        return self._process(fault).stop()

    def _pause(self, fault):
        process = self._process(fault)
        if not process.running:
            return False
        life = process.life
        process.after(fault["after"], self._strikes(process.pause))

        def undo():
            if process.life == life:
                process.disarm()
                process.go_on()

        self._lasts(fault, undo)
        return False

    def _cut(self, fault):
        process = self._process(fault)
        if not process.running:
            return False
        life = process.life
        process.cut(fault["from"])
        self._lasts(fault, lambda: process.life == life and process.mend())
        return True

    def _slow(self, fault):
        process = self._process(fault)
        process.slowness_s = fault["by_s"]

        def undo():
            process.slowness_s = 0.0

        self._lasts(fault, undo)

    def _clock(self, fault):
        process = self._process(fault)
        process.skew_us += int(fault["by_s"] * 1e6)
        self.world.skews_us += [each.skew_us for each in self.world.processes.values()]

    def _join(self, fault):
        world, role = self.world, fault["role"]
        number = max(each.number for each in self._of_role(role)) + 1
        process = world.add(role, number)
        process.start()

        def undo():
            process.wanted = False
            if not process.stop():
                process.crash()

        self._lasts(fault, undo)

    def _leave(self, fault):
        process = self._process(fault)
        process.wanted = False
        process.stop()

        def undo():
            process.wanted = True
            if not process.running:
                process.start()

        self._lasts(fault, undo)

    def _deploy(self, fault):
        chosen = [
            each for each in self._of_role(fault["role"]) if fault["numbers"] is None or each.number in fault["numbers"]
        ]

        def load(version):
            for process in chosen:
                process.version = version
            self._redeploy(lambda process: process in chosen and process.service_version != version)

        load(fault["version"])
        self._lasts(fault, lambda: load(1))

    def _redeploy(self, chosen):
        """One after the other, as deployments roll."""
        delay_s = 0.0
        for process in self.world.processes.values():
            if process.running and process.role != "client" and chosen(process):
                self.world.later(delay_s, self._restart, process, process.life)
                delay_s += 0.3

    def _restart(self, process, life):
        if process.running and process.life == life and not process.stop():
            process.crash()

    # -- servers and the way to them --------------------------------------------------------------------------

    def _away(self, fault):
        server = fault["server"]
        self.world.take_down(server, 1)
        self._lasts(fault, lambda: self.world.take_down(server, -1))

    def _sluggish(self, fault):
        server = fault["server"]
        self.world.make_slow(server, fault["by_s"])
        self._lasts(fault, lambda: self.world.make_slow(server, 0.0))

    def _rates(self, fault):
        server = fault["server"]
        self.world.rates[server] = Rates(**fault["rates"])

        def undo():
            self.world.rates[server] = Rates()

        self._lasts(fault, undo)

    def _rebalance(self, fault):
        group = self.world.group_of(fault["role"])
        if group is None or not group.members:
            return False
        group.rebalance()
        return True

    def _miss(self, fault):
        process = self._process(fault)
        group = self.world.group_of(fault["role"])
        if not process.running or group is None or len(group.members) < 2:
            return False
        for host in process.hosts:
            for member in self.world.members(host):
                member._listener.left_out_s = fault["seconds"]
        group.rebalance()
        return True

    def _expel(self, fault):
        process = self._process(fault)
        members = [member for host in process.hosts for member in self.world.members(host)] if process.running else []
        for member in members:
            self.world.expel(member)

        def undo():
            for member in members:
                if process.running and process.heartbeats:
                    self.world.revive(member)

        self._lasts(fault, undo)

    def _registry(self, fault):
        world, what = self.world, fault["what"]
        since = world.now_us()
        world.registry_troubles.append(what)
        world.registry_log.append([since, 0])
        place = len(world.registry_log) - 1

        def undo():
            world.registry_troubles.remove(what)
            world.registry_log[place][1] = world.now_us()

        self._lasts(fault, undo)

    def _abort(self, fault):
        self.world.broker.abort_some()

    def _full(self, fault):
        topic = f"sim.{fault['topic']}"
        place = (topic, fault["partition"] % self.world.broker.partition_count(topic))
        full = self.world.broker.full
        full.add(place)
        self._lasts(fault, lambda: full.discard(place))

    def _expire(self, fault):
        """Only where the store has the last marker and nothing has happened since: that is what is promised."""
        world, number = self.world, fault["partition"]
        history = world.broker.source(TOPICS.history, number)
        known = world.store._resting.get(number)
        stands = known is not None and known[1].end == history.end == history.high
        if stands:
            world.trace("broker", "history expires", number, history.end)
            history.delete_before(history.end)
            commands = world.broker.source(TOPICS.instances, number)
            commands.delete_before(known[1].commands_end)
        return stands

    def _hang(self, fault):
        readers = [
            each for each in self.world.readers
            if each.host.process.role == fault["role"] and not each.host.closed and not each._reader._revoked
        ]  # fmt: skip
        if readers:
            reader = readers[fault["number"] % len(readers)]
            reader.hangs = True
            self.world.trace(reader.host.name, "its reader hangs", reader._reader._place())
            # It hangs for good: the watchdog has to see it, if ever there is something to be read.
        return bool(readers)

    # -- records ----------------------------------------------------------------------------------------------

    def _poison(self, fault):
        world, random = self.world, random_of.Random(fault["number"])
        instance = f"s-{random.randint(1, 30):04}"
        key, value = instance.encode(), encode(RaiseEvent("go", '"misrouted"', command_id=f"m-{fault['number']}"))
        home = partition_of(instance, world.partitions)
        what, partition = fault["what"], fault["partition"]
        if what == "garbage":
            value = random.randbytes(random.randint(1, 60))
        elif what == "empty":
            value = b""
        elif what == "schema":
            value = value[:10] + random.randbytes(5)
        elif what == "key":
            key = b"\xff\xfe"
        elif partition == home:
            return False
        try:
            world.broker.append([Outgoing(TOPICS.instances, partition, key, value)], "stranger")
        except CommitFailed:  # a full partition takes none of it
            return False
        if what in ("garbage", "empty", "schema", "key"):
            world.poison.append(value)
        return True

    def _echo(self, fault):
        """Of what the engine's own parts have sent, and may send again."""
        broker = self.world.broker
        topic = f"sim.{fault['topic']}"
        entries = [entry for partition in broker.topics[topic] for entry in partition.committed()]
        entries.sort(key=lambda entry: entry.committed_us)
        entries = [entry for entry in entries if _is_the_engines(topic, entry)]
        if entries:
            record = entries[-min(fault["back"], len(entries))].record
            again = Outgoing(record.topic, record.partition, record.key, record.value, record.headers)
            self.world.trace("broker", "once more", record.topic, record.partition, record.offset)
            try:
                broker.append([again], "echo")
            except CommitFailed:
                return False
        return bool(entries)


def _is_the_engines(topic, entry):
    if topic != TOPICS.instances:
        return True
    try:
        name, _ = decode(entry.record.value)
    except (KeyError, EOFError, ValueError, IndexError):  # poison
        return False
    return name in ENGINE_SENDS
