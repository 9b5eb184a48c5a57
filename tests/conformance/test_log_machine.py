"""Whatever happens in whatever order, the log keeps exactly what it acknowledged."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from perdure.core.limits import RECORD_BYTES_MAX
from perdure.ports.errors import CommitFailed, Fenced, RecordTooLarge
from perdure.ports.log import Outgoing, Reader
from tests.conformance.clusters import PARTITIONS, TOPICS, Cluster, MemoryCluster, SqliteCluster, make_cluster
from tests.conformance.facts import Listener, everything, out, within

PLACES = [(topic, partition) for topic in (TOPICS.instances, TOPICS.history) for partition in range(PARTITIONS - 1)]
BATCHES = st.lists(st.tuples(st.sampled_from(PLACES), st.booleans()), min_size=1, max_size=5)
Kept = tuple[str, bool]  # a record's value, and whether a crash may lose it


class LogMachine(RuleBasedStateMachine):
    adapter = ""
    patience_s = 10.0

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.cluster = self.make_cluster(Path(self.folder.name))
        self.kept: dict[tuple[str, int], list[Kept]] = {place: [] for place in PLACES}
        self.offsets: dict[str, int] = {}
        self.highest = dict.fromkeys(PLACES, -1)
        self.position = -1
        self.count = 0
        self.run(self.cluster.open())
        self.run(self.cluster.create_topics())
        self.start_process()

    def make_cluster(self, folder: Path) -> Cluster:
        return make_cluster(self.adapter, folder)

    def run(self, awaitable):
        return self.runner.run(within(awaitable, self.patience_s))

    def start_process(self) -> None:
        self.zombie = self.run(self.cluster.log.open_writer("w"))
        self.writer = self.run(self.cluster.log.open_writer("w"))
        membership = self.run(self.cluster.log.join("g", [TOPICS.instances], Listener()))
        self.reader: Reader = membership.reader(*PLACES[0])

    def batch(self, drawn) -> list[Outgoing]:
        records = []
        for (topic, partition), volatile in drawn:
            self.count += 1
            records.append(out(f"{self.count}", partition, topic, volatile=volatile))
        return records

    def keep(self, records: list[Outgoing]) -> None:
        for record in records:
            self.kept[record.topic, record.partition].append((record.value.decode(), record.volatile))

    @rule(drawn=BATCHES)
    def append(self, drawn) -> None:
        records = self.batch(drawn)
        self.run(self.cluster.log.append(records))
        self.keep(records)

    @rule(drawn=st.lists(BATCHES, min_size=2, max_size=4))
    def append_at_once(self, drawn) -> None:
        batches = [self.batch(some) for some in drawn]

        async def gather() -> None:
            await asyncio.gather(*map(self.cluster.log.append, batches))

        self.run(gather())
        for records in batches:
            self.keep(records)

    @rule(drawn=BATCHES)
    def commit(self, drawn) -> None:
        records = self.batch(drawn)
        last = self.run(self.writer.commit(records))
        self.keep(records)
        assert last > self.highest[records[-1].topic, records[-1].partition]

    @rule(drawn=BATCHES)
    def commit_as_a_zombie(self, drawn) -> None:
        with pytest.raises(Fenced):
            self.run(self.zombie.commit(self.batch(drawn)))

    @rule(drawn=BATCHES)
    def commit_too_much(self, drawn) -> None:
        records = [*self.batch(drawn), out(b"x" * (RECORD_BYTES_MAX + 1))]
        with pytest.raises(RecordTooLarge):
            self.run(self.writer.commit(records))
        self.writer = self.run(self.cluster.log.open_writer("w"))

    @rule(place=st.sampled_from(PLACES), share=st.floats(0, 1))
    def delete_before(self, place, share) -> None:
        records = self.kept[place]
        count = int(len(records) * share)
        if count < len(records):
            self.run(self.cluster.log.delete_before(*place, self.offsets[records[count][0]]))
            del records[:count]

    @rule(offset=st.integers(0, 100))
    def commit_position(self, offset) -> None:
        self.run(self.reader.commit(offset))
        self.position = offset

    @rule()
    def reopen(self) -> None:
        self.run(self.cluster.reopen())
        for records in self.kept.values():  # nothing crashed, but a volatile record has no row
            self.forget_lost(records)
        self.start_process()

    @rule()
    def crash(self) -> None:
        self.run(self.cluster.crash())
        self.start_process()
        for records in self.kept.values():
            self.forget_lost(records)

    def forget_lost(self, records: list[Kept]) -> None:
        if self.adapter != "memory":
            place = next(place for place, kept in self.kept.items() if kept is records)
            there = {record.value.decode() for record in self.run(everything(self.cluster.log, place[1], place[0]))}
            records[:] = [kept for kept in records if kept[0] in there or not kept[1]]

    @invariant()
    def the_log_holds_what_it_acknowledged(self) -> None:
        for (topic, partition), kept in self.kept.items():
            records = self.run(everything(self.cluster.log, partition, topic))
            assert [record.value.decode() for record in records] == [value for value, _ in kept]
            start, end = self.run(self.cluster.log.bounds(topic, partition))
            previous = start - 1
            for record in records:
                value = record.value.decode()
                assert previous < record.offset < end
                assert self.offsets.setdefault(value, record.offset) == record.offset
                previous = record.offset
            new = [record.offset for record in records if record.offset > self.highest[topic, partition]]
            assert all(self.offsets[value] <= self.highest[topic, partition] for value, _ in kept[: -len(new) or None])
            self.highest[topic, partition] = max([self.highest[topic, partition], *new])

    @invariant()
    def the_group_holds_its_position(self) -> None:
        assert self.run(self.reader.committed()).offset == self.position

    def teardown(self) -> None:
        self.run(self.cluster.close())
        self.runner.close()
        self.folder.cleanup()


class MemoryLogMachine(LogMachine):
    adapter = "memory"
    cluster: MemoryCluster

    @rule(drawn=BATCHES, written=st.booleans())
    def commit_with_an_unknown_outcome(self, drawn, written) -> None:
        from perdure.adapters.memory import Fault
        from perdure.ports.errors import CommitUnknown

        records = self.batch(drawn)
        self.cluster.broker.fail_next("commit", Fault.UNKNOWN_WRITTEN if written else Fault.UNKNOWN_NOT_WRITTEN)
        with pytest.raises(CommitUnknown):
            self.run(self.writer.commit(records))
        self.writer = self.run(self.cluster.log.open_writer("w"))
        if written:
            self.keep(records)


class SqliteLogMachine(LogMachine):
    adapter = "sqlite"
    cluster: SqliteCluster

    async def limit_pages(self, pages: int) -> None:
        await self.cluster.database.write(
            lambda transaction: transaction.then(
                lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}")
            )
        )

    @rule(drawn=BATCHES)
    def commit_to_a_full_disk(self, drawn) -> None:
        self.run(self.limit_pages(1))
        large = [out(b"x" * 200_000) for _ in range(10)]
        with pytest.raises(CommitFailed, match="disk is full"):
            self.run(self.writer.commit([*self.batch(drawn), *large]))
        self.run(self.limit_pages(1_000_000))
        self.writer = self.run(self.cluster.log.open_writer("w"))


BOUNDED = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
TestMemoryLog = MemoryLogMachine.TestCase
TestMemoryLog.settings = BOUNDED
TestSqliteLog = SqliteLogMachine.TestCase
TestSqliteLog.settings = BOUNDED
