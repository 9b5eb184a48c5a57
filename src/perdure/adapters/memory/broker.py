"""The cluster in memory, shared by the logs of several "processes". Faults come on demand, not by chance."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from perdure.adapters.memory.faults import Fault
from perdure.adapters.memory.groups import SESSION_SECONDS, Groups
from perdure.adapters.memory.member import Member
from perdure.adapters.memory.partition import MemoryPartition
from perdure.adapters.memory.source import Cluster
from perdure.adapters.memory.validity import check_records, topic_missing
from perdure.ports.clock import Clock
from perdure.ports.errors import Fenced, TopicMismatch
from perdure.ports.log import Committed, Consumed, Outgoing, TopicSpec

__all__ = ["MemoryBroker"]


class MemoryBroker(Cluster):
    """Topics, groups and transactional ids. It outlives the logs that use it, as a cluster does."""

    def __init__(self, clock: Clock, session_s: float = SESSION_SECONDS) -> None:
        self.groups = Groups(self, session_s)
        self._clock = clock
        self._topics: dict[str, list[MemoryPartition]] = {}
        self._positions: dict[tuple[str, str, int], Committed] = {}
        self._epochs: dict[str, int] = {}
        self._faults: dict[str, deque[Fault]] = {"append": deque(), "commit": deque()}

    # Faults on demand.

    def rebalance(self, group: str) -> None:
        """Revoke everything of the group and assign it anew."""
        self.groups.get(group).rebalance()

    def fence(self, transactional_id: str) -> None:
        """As if another process had opened a writer of that id."""
        self.open_epoch(transactional_id)

    def expel(self, member: Member) -> None:
        """Throw a member out without telling it: a zombie that reads on and cannot commit."""
        member.group.expel(member)

    def revive(self, member: Member) -> None:
        """An expelled member hears of it: its listener is told of the loss, then it joins again."""
        member.group.revive(member)

    def fail_next(self, operation: str, fault: Fault) -> None:
        """Let the next "append" or "commit" that nobody else fails go wrong; several calls queue up."""
        self._faults[operation].append(fault)

    # What the logs ask for. All of it happens at once: a log adds the waiting.

    def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        for spec in specs:
            existing = self._topics.get(spec.name)
            if existing is not None and len(existing) != spec.partitions:
                raise TopicMismatch(
                    f"topic {spec.name} has {len(existing)} partitions, not {spec.partitions}: ids would move"
                )
        for spec in specs:
            if spec.name not in self._topics:
                self._topics[spec.name] = [MemoryPartition(spec.name, number) for number in range(spec.partitions)]

    def partition_count(self, topic: str) -> int:
        if topic not in self._topics:
            raise topic_missing(topic)
        return len(self._topics[topic])

    def source(self, topic: str, partition: int) -> MemoryPartition:
        if not 0 <= partition < self.partition_count(topic):
            raise topic_missing(f"{topic}[{partition}]")
        return self._topics[topic][partition]

    def open_epoch(self, transactional_id: str) -> int:
        self._epochs[transactional_id] = self._epochs.get(transactional_id, 0) + 1
        return self._epochs[transactional_id]

    def check_epoch(self, transactional_id: str, epoch: int) -> None:
        if self._epochs[transactional_id] != epoch:
            raise Fenced(f"a newer writer of {transactional_id} exists: this one stops")

    def append(self, records: Sequence[Outgoing]) -> None:
        check_records(records, self.partition_count)
        self._write("append", records)

    def commit(self, records: Sequence[Outgoing], consumed: Consumed | None = None) -> int:
        check_records(records, self.partition_count)
        return self._write("commit", records, consumed)

    def _write(self, operation: str, records: Sequence[Outgoing], consumed: Consumed | None = None) -> int:
        faults = self._faults[operation]
        fault = faults.popleft() if faults else None
        if fault is not None and not fault.writes:
            raise fault.error()
        last = self._add(records, transaction=operation == "commit")
        if consumed is not None:
            self._positions[consumed.group, consumed.topic, consumed.partition] = consumed.committed
        if fault is not None:
            raise fault.error()
        return last

    def _add(self, records: Sequence[Outgoing], *, transaction: bool) -> int:
        timestamp_ms = self._clock.now_us() // 1000
        last = -1
        touched: dict[MemoryPartition, None] = {}
        for record in records:
            partition = self._topics[record.topic][record.partition]
            last = partition.add(record, timestamp_ms)
            touched[partition] = None
        for partition in touched:
            if transaction:
                partition.end_transaction()
            partition.notify()
        return last

    def committed(self, group: str, topic: str, partition: int) -> Committed:
        stored = self._positions.get((group, topic, partition))
        return Committed(-1) if stored is None else Committed(stored.offset, stored.metadata)

    async def commit_offset(self, group: str, topic: str, partition: int, position: Committed, *, lazy: bool) -> None:
        del lazy  # nothing is cheaper than doing it
        self._positions[group, topic, partition] = position
