"""The brokers: topics whose records are committed or not yet, transactions with epochs, groups with sessions.

As Kafka does it: a transaction's records have their offsets at once and are seen once it ends; until then readers of a
partition see nothing beyond its first one. An aborted transaction leaves a gap. Each end of a transaction takes an offset
in every partition that it touched. A newer writer of an id ends the transaction of the one before; one that stays open too
long is ended by the broker, whoever it belongs to.

Groups and readers are those of the memory adapter, whose law is Kafka's eager rebalance. What was ever committed is kept
for the checkers, whatever becomes of it in the topic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from perdure.adapters.memory.groups import Groups
from perdure.adapters.memory.source import Cluster, Source
from perdure.adapters.memory.validity import check_records, topic_missing
from perdure.ports.errors import CommitFailed, Fenced, TopicMismatch
from perdure.ports.log import Committed, Record

SESSION_S = 6.0
TRANSACTION_S = 5.0


@dataclass(slots=True, eq=False)
class Entry:
    record: Record
    writer: str
    committed_us: int = 0


@dataclass(slots=True, eq=False)
class Transaction:
    producer: str
    epoch: int
    touched: dict = field(default_factory=dict)  # partition to its entries
    state: str = "open"
    timeout: object = None
    consumed: object = None  # a position that is stored with it


class Partition(Source):
    """`entries` has all that ever was in it."""

    def __init__(self, broker, topic, number):
        super().__init__(topic, number)
        self.high = 0  # the next offset
        self.entries = []
        self._broker = broker
        self._first_kept = 0  # place in entries
        self._open = []  # first offsets of open transactions

    def add(self, outgoing, writer, transaction):
        broker = self._broker
        stamp_ms = broker.now_us() // 1000
        record = Record(self.topic, self.partition, self.high, outgoing.key, outgoing.value, outgoing.headers, stamp_ms)
        committed_us = broker.now_us() if transaction is None else 0
        self.entries.append(Entry(record, writer, committed_us))
        if transaction is not None:
            if self not in transaction.touched:
                transaction.touched[self] = []
                self._open.append(record.offset)
            transaction.touched[self].append(self.entries[-1])
        self.high += 1
        self._moved()
        return record.offset

    def settle(self, transaction):
        entries = transaction.touched[self]
        self._open.remove(entries[0].record.offset)
        if transaction.state == "committed":
            for entry in entries:
                entry.committed_us = self._broker.now_us()
        self.high += 1  # the end's own record
        self._moved()

    def _moved(self):
        self.end = min(self._open, default=self.high)

    def ready(self, offset, max_records):
        """Gaps are passed, up to the next record that can be seen."""
        found, position = [], self.end
        for entry in self.entries[self._place(offset) :]:
            at = entry.record.offset
            if at >= self.end:
                break
            if entry.committed_us:
                if len(found) == max_records:
                    position = at
                    break
                found.append(entry.record)
        return found, max(position, offset)

    async def load(self, offset, max_records):
        return self.ready(offset, max_records)

    def _place(self, offset):
        low, high = self._first_kept, len(self.entries)
        while low < high:
            middle = (low + high) // 2
            if self.entries[middle].record.offset < offset:
                low = middle + 1
            else:
                high = middle
        return low

    def delete_before(self, offset):
        offset = min(offset, self.end)
        if offset > self.start:
            self._first_kept = self._place(offset)
            self.start = offset

    def notify(self):
        """News travels, and to each reader at its own pace."""
        for watcher in list(self.watchers):
            self._broker.tell(watcher)

    def committed(self):
        return [entry for entry in self.entries if entry.committed_us]


class Broker(Cluster):
    """Done at once, each of it; what takes time is the way there."""

    def __init__(self, world):
        self.world = world
        self.topics = {}
        self.epochs = {}
        self.groups = Groups(self, SESSION_S)
        self.full = set()  # (topic, partition) that take no record
        self.positions = {}
        self._open = {}  # transactions by producer

    def now_us(self):
        return self.world.now_us()

    def tell(self, watcher):
        world = self.world
        world.loop.call_later(world.journey_s(), watcher.notify, context=world.loop.world.context)

    # -- topics -----------------------------------------------------------------------------------------------

    def create_topics(self, specs):
        for spec in specs:
            known = self.topics.get(spec.name)
            if known is not None and len(known) != spec.partitions:
                raise TopicMismatch(f"topic {spec.name} has {len(known)} partitions, not {spec.partitions}")
        for spec in specs:
            if spec.name not in self.topics:
                self.topics[spec.name] = [Partition(self, spec.name, number) for number in range(spec.partitions)]

    def partition_count(self, topic):
        if topic not in self.topics:
            raise topic_missing(topic)
        return len(self.topics[topic])

    def source(self, topic, partition):
        if not 0 <= partition < self.partition_count(topic):
            raise topic_missing(f"{topic}[{partition}]")
        return self.topics[topic][partition]

    def let_go(self, topic, partition, offset):
        self.source(topic, partition).delete_before(offset)
        self.world.note_deletion(topic, partition, offset)

    # -- writing ----------------------------------------------------------------------------------------------

    def append(self, records, writer):
        check_records(records, self.partition_count)
        self._check_room(records)
        touched = {}
        for record in records:
            partition = self.topics[record.topic][record.partition]
            partition.add(record, writer, None)
            touched[partition] = None
        for partition in touched:
            partition.notify()

    def _check_room(self, records):
        for record in records:
            if (record.topic, record.partition) in self.full:
                raise CommitFailed(f"{record.topic}[{record.partition}] takes no records: its disk is full")

    def open_epoch(self, producer):
        self.abort(producer)
        self.epochs[producer] = self.epochs.get(producer, -1) + 1
        return self.epochs[producer]

    def abort(self, producer):
        """End its open transaction, if there is one, as if it had never been."""
        transaction = self._open.pop(producer, None)
        if transaction is not None:
            self._settle(transaction, "aborted")

    def _time_out(self, transaction):
        if transaction.state == "open":
            self.world.trace("broker", "ends a transaction that is open too long", transaction.producer)
            self.epochs[transaction.producer] += 1
            self.abort(transaction.producer)

    def begin(self, producer, epoch):
        """Nothing is sent for it: a transaction begins with its first records."""
        return Transaction(producer, epoch)

    def produce(self, transaction, records, writer):
        """Records for one partition. Returns the offset of the last."""
        self._enter(transaction, records)
        partition = self.source(records[0].topic, records[0].partition)
        return [partition.add(record, writer, transaction) for record in records][-1]

    def consume(self, transaction, consumed):
        """A group's position, stored when the transaction is committed."""
        self._enter(transaction, ())
        transaction.consumed = consumed

    def _enter(self, transaction, records):
        producer = transaction.producer
        if self.epochs.get(producer) != transaction.epoch or transaction.state != "open":
            raise Fenced(f"a newer writer of {producer} exists: this one stops")
        self._check_room(records)
        if producer not in self._open:
            loop = self.world.loop
            self._open[producer] = transaction
            transaction.timeout = loop.call_later(
                TRANSACTION_S, self._time_out, transaction, context=loop.world.context
            )

    def end_transaction(self, transaction, state):
        producer = transaction.producer
        if self._open.get(producer) is not transaction or self.epochs[producer] != transaction.epoch:
            raise Fenced(f"the transaction of {producer} has been ended by a newer writer or by its time-out")
        del self._open[producer]
        self._settle(transaction, state)

    def _settle(self, transaction, state):
        transaction.state = state
        transaction.timeout.cancel()
        consumed = transaction.consumed
        if consumed is not None and state == "committed":
            self.positions[consumed.group, consumed.topic, consumed.partition] = consumed.committed
        for partition in transaction.touched:
            partition.settle(transaction)
        for partition in transaction.touched:
            partition.notify()

    def abort_some(self):
        """A coordinator moves, and ends what is open: its owners learn it by being fenced."""
        for producer in list(self._open):
            self.epochs[producer] += 1
            self.abort(producer)

    # -- groups -----------------------------------------------------------------------------------------------

    def members(self, group):
        known = self.groups._groups.get(group)
        return [] if known is None else list(known.members)

    def committed(self, group, topic, partition):
        stored = self.positions.get((group, topic, partition))
        return Committed(-1) if stored is None else Committed(stored.offset, stored.metadata)

    async def commit_offset(self, group, topic, partition, position, *, lazy):
        del lazy  # the member has waited already
        self.positions[group, topic, partition] = position
