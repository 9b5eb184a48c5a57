"""An independent witness: everything that was ever written, in order, and the laws it must obey.

Nothing here asks the orchestrator anything. Histories are folded from the records of the log; what the markers say is
held against what was written; the store is held against both.
"""

import asyncio
from collections import Counter

from perdure.adapters.memory import MemoryBroker
from perdure.codec.avro import decode, encode
from perdure.core.commands import InspectInstance, StartWorkflow
from perdure.core.effects import ActivityTask, SetTimer
from perdure.core.events import (
    ActivityRetried,
    ActivityScheduled,
    BatchCommitted,
    ChildRetried,
    ChildScheduled,
    TimerCreated,
    WorkflowContinuedAsNew,
    WorkflowStarted,
)
from perdure.core.instance import Instance, apply
from perdure.core.names import partition_of
from perdure.ports.log import Record


class Write:
    """One append or one transaction, as it was written."""

    def __init__(self, kind, records):
        self.kind = kind
        self.records = records

    def of(self, topic):
        return [record for record in self.records if record.topic == topic]


class JournalBroker(MemoryBroker):
    """Remembers every write, deleted ones too. The hooks are called around each transaction, with its number."""

    def __init__(self, clock):
        super().__init__(clock)
        self.writes = []
        self.news = asyncio.Event()
        self.commits = 0
        self.before_commit = lambda number, records: None
        self.after_commit = lambda number, records: None
        self.refuse = lambda record: None  # may raise RecordTooLarge and the like

    def commit(self, records, consumed=None):
        self.commits += 1
        number = self.commits
        self.before_commit(number, records)
        for record in records:
            self.refuse(record)
        last = super().commit(records, consumed)
        self.after_commit(number, records)
        return last

    def _add(self, records, *, transaction):
        written, ends = [], {}
        for each in records:
            place = (each.topic, each.partition)
            offset = ends.get(place, self.source(*place).end)
            ends[place] = offset + 1
            written.append(Record(*place, offset, each.key, each.value, each.headers))
        self.news.set()
        self.writes.append(Write("commit" if transaction else "append", written))
        return super()._add(records, transaction=transaction)


class Journal:
    """What the writes say, decoded."""

    def __init__(self, writes, topics, partitions):
        self.writes = writes
        self.topics = topics
        self.partitions = partitions

    def histories(self):
        """Events by (partition, instance id), in the order of the log."""
        found = {}
        for write in self.writes:
            for record in write.of(self.topics.history):
                if record.key:
                    found.setdefault((record.partition, record.key.decode()), []).append(decode(record.value))
        return found

    def history(self, instance_id):
        return self.histories().get((partition_of(instance_id, self.partitions), instance_id), [])

    def markers(self, partition):
        """(index of the write, offset, marker)"""
        return [
            (index, record.offset, decode(record.value))
            for index, write in enumerate(self.writes)
            for record in write.of(self.topics.history)
            if record.partition == partition and not record.key
        ]

    def commands(self, partition):
        """(index of the write, offset, command) of what can be decoded."""
        found = []
        for index, write in enumerate(self.writes):
            for record in write.of(self.topics.instances):
                if record.partition == partition:
                    try:
                        found.append((index, record.offset, decode(record.value)))
                    except ValueError:
                        found.append((index, record.offset, None))
        return found

    def replies(self):
        """(index of the write, reply)"""
        return [
            (index, decode(record.value))
            for index, write in enumerate(self.writes)
            for record in write.of(self.topics.replies)
        ]

    # -- laws -----------------------------------------------------------------------------------------------

    def check(self, *, everything_decided=True):
        """Raises AssertionError where a law is broken."""
        self.check_histories()
        self.check_effects()
        self.check_markers(everything_decided=everything_decided)
        self.check_replies()

    def check_histories(self):
        """Gapless, each event once, at home; generations follow generations, runs follow ended runs."""
        for (partition, instance_id), history in self.histories().items():
            where = f"{instance_id}[{partition}]"
            assert partition_of(instance_id, self.partitions) == partition, f"{where}: not its home"
            instance, before = Instance(instance_id), None
            for event in history:
                assert not isinstance(event, BatchCommitted), where
                if event.seq == 1:
                    assert isinstance(event, WorkflowStarted), f"{where}: begins with {event}"
                    if event.generation == 0:
                        assert not instance.active, f"{where}: a second run while the first is active"
                        assert event.run != instance.run, f"{where}: the same run again"
                    else:
                        place = (instance.run, instance.generation + 1)
                        assert isinstance(before, WorkflowContinuedAsNew), where
                        assert (event.run, event.generation) == place, where
                else:
                    place = (instance.run, instance.generation, instance.next_seq)
                    found = (event.run, event.generation, event.seq)
                    assert found == place, f"{where}: {found} after {place}"
                    assert event.at_us >= instance.last_at_us, f"{where}: time runs backwards"
                apply(instance, event)
                before = event

    def check_effects(self):
        """What a commit's events ask for goes out in that very commit, once; nothing else goes out."""
        for write in self.writes:
            if write.kind != "commit":
                continue
            asked, sent = Counter(), Counter()
            for record in write.of(self.topics.history):
                asked.update(_asked(record.key, decode(record.value)))
            for record in write.records:
                if record.topic not in (self.topics.history, self.topics.dead_letters):
                    sent.update(_sent(record))
            assert asked == sent, f"asked {asked - sent} and sent {sent - asked}"

    def check_markers(self, *, everything_decided):
        """Every commit ends with one marker, and what was decided once is never undecided again."""
        for write in self.writes:
            history = write.of(self.topics.history)
            if write.kind == "commit" or history:
                assert write.kind == "commit"
                assert [not each.key for each in history] == [False] * (len(history) - 1) + [True]
                assert write.records[-1] is history[-1]
                assert len({each.partition for each in history}) == 1
        for partition in range(self.partitions):
            decided, stored_to = set(), 0
            commands = self.commands(partition)
            for index, _, marker in self.markers(partition):
                known = {offset for at, offset, _ in commands if at < index}
                now = {offset for offset in known if offset < marker.next_offset} - set(marker.undecided)
                assert decided <= now, f"decided, then not: {decided - now}"
                assert marker.stored_to >= stored_to or marker.takeovers, "the store forgot"
                decided, stored_to = now, marker.stored_to
            if everything_decided:
                durable = {offset for _, offset, command in commands if type(command) is not InspectInstance}
                assert durable <= decided, f"never decided in [{partition}]: {sorted(durable - decided)}"

    def check_replies(self):
        """An answer to a command comes after the commit that decided it; a snapshot shows nothing uncommitted."""
        asked = {}
        for partition in range(self.partitions):
            for index, offset, command in self.commands(partition):
                if command is not None and getattr(command, "command_id", ""):
                    asked.setdefault(command.command_id, []).append((index, partition, offset, command))
        for at, reply in self.replies():
            places = [place for place in asked.get(reply.correlation, []) if place[0] < at]
            assert places, f"nobody had asked {reply.correlation}"
            if any(type(place[3]) is not InspectInstance for place in places):
                assert any(self._decided_by(at, partition, offset) for _, partition, offset, _ in places), reply
            if reply.snapshot is not None:
                seen = reply.snapshot
                committed = Journal(self.writes[:at], self.topics, self.partitions).history(seen.instance_id)
                places = [(event.run, event.generation, event.seq) for event in committed]
                assert (seen.run, seen.generation, seen.events) in places, f"{seen} shows what was not committed"

    def _decided_by(self, at, partition, offset):
        earlier = [marker for index, _, marker in self.markers(partition) if index < at]
        return bool(earlier) and offset < earlier[-1].next_offset and offset not in earlier[-1].undecided

    async def check_store(self, store):
        """The store holds the log's fold: row and events of every instance, nothing more."""
        folds = {instance_id: history for (_, instance_id), history in self.histories().items()}
        stored = await store.load(list(folds))
        assert stored.keys() == folds.keys(), f"not stored: {folds.keys() - stored.keys()}"
        for instance_id, history in folds.items():
            instance = Instance(instance_id)
            for event in history:
                apply(instance, event)
            found = stored[instance_id]
            assert encode(found.row) == encode(instance.row()), f"{instance_id}: {found.row} is not {instance.row()}"
            place = (instance.run, instance.generation)
            last = [encode(event) for event in history if (event.run, event.generation) == place]
            expected = [] if instance.ended == "PURGED" else last
            assert [event.value for event in found.events] == expected, f"{instance_id}: its events differ"


def _asked(key, event):
    kind, place = type(event), (key, getattr(event, "run", ""), getattr(event, "generation", 0))
    if kind is ActivityScheduled:
        return [("task", *place, event.task_id, 1)]
    if kind is ActivityRetried:
        return [("task", *place, event.task_id, event.attempt)]
    if kind is TimerCreated:
        return [("timer", *place, event.task_id)]
    if kind is ChildScheduled or kind is ChildRetried:
        return [("child", *place, event.task_id)]
    return []


def _sent(record):
    effect = decode(record.value)
    kind, place = type(effect), (record.key, getattr(effect, "run", ""), getattr(effect, "generation", 0))
    if kind is ActivityTask:
        return [("task", *place, effect.task_id, effect.attempt)]
    if kind is SetTimer and effect.kind == "timer":
        return [("timer", *place, effect.task_id)]
    if kind is StartWorkflow and effect.parent_id:
        parent = (effect.parent_id.encode(), effect.parent_run, effect.parent_generation)
        return [("child", *parent, effect.parent_task_id)]
    return []
