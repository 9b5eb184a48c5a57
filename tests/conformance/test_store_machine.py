"""Any adapters, one answer: whatever is appended, in whatever order, all stores read alike.

`run_on` lets other adapters take part: memory, which is the model, and theirs.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from perdure.core.rows import InstanceRow
from perdure.ports.store import Filter, StoredTimer, StoredTurn
from tests.conformance.clusters import CLUSTERS, Cluster, make_cluster
from tests.conformance.facts import Histories, event, row, within

IDS = ["a", "b", "ab"]
KEYS = st.tuples(st.sampled_from(IDS), st.sampled_from(["x", "y"]))


class StoreMachine(RuleBasedStateMachine):
    """An owner decides turns and commits them to the log; later, and perhaps twice or late, they are stored."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clusters: list[Cluster] = list(self.make_clusters())
        for cluster in self.clusters:
            self.run(cluster.open())
            self.run(cluster.create_topics())
        self.live: dict[str, InstanceRow] = {}
        self.committed: list[tuple[int, list[StoredTurn]]] = []
        self.commits = 0
        self.requests = 0  # for timers

    def make_clusters(self) -> Iterable[Cluster]:
        """Not opened yet; the first is the model."""
        return [make_cluster(name, Path(self.folder.name)) for name in CLUSTERS]

    def run(self, awaitable):
        return self.runner.run(within(awaitable, 60))

    def both(self, ask):
        answers = [self.run(ask(cluster)) for cluster in self.clusters]
        assert all(answer == answers[0] for answer in answers[1:])
        return answers[0]

    def commit(self, *turns: StoredTurn) -> None:
        """Positions come from a count of our own: offsets differ between the adapters."""
        self.commits += 1
        for cluster in self.clusters:
            self.run(Histories(cluster).commit(*turns))
        self.committed.append((self.commits, list(turns)))

    @rule(
        name=st.sampled_from(IDS), events=st.integers(0, 3), status=st.sampled_from(["RUNNING", "STALLED", "COMPLETED"])
    )
    def take_a_turn(self, name, events, status) -> None:
        before = self.live.get(name) or row(name, f"0.0.{self.commits}", created_at_us=self.commits // 2)
        after = row(name, before.run, before.generation, before.last_seq + events, created_at_us=before.created_at_us)
        after.status = status
        self.live[name] = after
        self.commit(StoredTurn(after, [event(after, before.last_seq + 1 + number) for number in range(events)]))

    @rule(name=st.sampled_from(IDS))
    def continue_as_new(self, name) -> None:
        if name in self.live:
            before = self.live[name]
            after = row(name, before.run, before.generation + 1, 1, created_at_us=before.created_at_us)
            self.live[name] = after
            self.commit(StoredTurn(after, [event(after, 1)]))

    @rule(name=st.sampled_from(IDS))
    def purge(self, name) -> None:
        if name in self.live:
            gone = self.live.pop(name)
            self.commit(StoredTurn(row(name, gone.run, status="PURGED", updated_at_us=self.commits)))

    @rule(count=st.integers(1, 4))
    def store_what_is_due(self, count) -> None:
        """Coalesced, as the owner does: of each instance the last row, with the events of its generation."""
        due = self.committed[:count]
        if not due:
            return
        latest: dict[str, StoredTurn] = {}
        for _, turns in due:
            for turn in turns:
                known = latest.get(turn.row.instance_id)
                same = known and (known.row.run, known.row.generation) == (turn.row.run, turn.row.generation)
                earlier = known.events if same else []
                latest[turn.row.instance_id] = StoredTurn(turn.row, [*earlier, *turn.events])
        self.store(due[-1][0], list(latest.values()))
        self.committed = self.committed[count:]
        self.stored = due[-1][0], list(latest.values())

    stored: tuple[int, list[StoredTurn]] | None = None

    @rule()
    def store_the_last_again(self) -> None:
        if self.stored is not None:
            self.store(*self.stored)

    def store(self, position: int, turns: list[StoredTurn]) -> None:
        for cluster in self.clusters:
            self.run(cluster.store.append(0, position, position, turns))

    @rule(before_us=st.integers(0, 20))
    def forget_tombstones(self, before_us) -> None:
        """What was forgotten is not stored again: it is a week old."""
        self.both(lambda cluster: cluster.store.forget_tombstones(before_us))
        self.stored = None

    @rule()
    def crash(self) -> None:
        for cluster in self.clusters:
            self.run(cluster.crash())

    @rule(keys=st.lists(KEYS, min_size=1, max_size=4), slice_no=st.integers(0, 2), at=st.integers(0, 9))
    def put_timers(self, keys, slice_no, at) -> None:
        position = self.next_request()
        timers = [StoredTimer(at + number, *key, b"set", position) for number, key in enumerate(keys)]
        self.both(lambda cluster: cluster.timers.put(0, slice_no, timers))

    @rule(keys=st.lists(KEYS, max_size=4), slice_no=st.integers(0, 2))
    def remove_timers(self, keys, slice_no) -> None:
        position = self.next_request()
        self.both(lambda cluster: cluster.timers.remove(0, slice_no, [(*key, position) for key in keys]))

    @rule(slice_no=st.integers(0, 2))
    def drop_slice(self, slice_no) -> None:
        position = self.next_request()
        self.both(lambda cluster: cluster.timers.drop_slice(0, slice_no, position))

    def next_request(self) -> int:
        """Positions of one owner's requests rise; late ones are told apart in late_timer_writes.py."""
        self.requests += 1
        return self.requests

    @invariant()
    def both_read_alike(self) -> None:
        self.both(lambda cluster: cluster.store.load(IDS))
        self.both(lambda cluster: cluster.store.stored_to(0))
        self.both(lambda cluster: cluster.store.stalled(0, 10))
        for where in (Filter(), Filter(statuses=["RUNNING"]), Filter(id_prefix="a", created_from_us=1)):
            self.both(lambda cluster, where=where: cluster.store.list(where, 2))
        for slice_no in range(3):
            self.both(lambda cluster, slice_no=slice_no: cluster.timers.load(0, slice_no))
        self.both(lambda cluster: cluster.timers.slices(0, 1))

    @invariant()
    def histories_are_gapless_up_to_their_rows(self) -> None:
        for stored in self.both(lambda cluster: cluster.store.load(IDS)).values():
            last = 0 if stored.row.status == "PURGED" else stored.row.last_seq
            assert stored.events == [event(stored.row, seq) for seq in range(1, last + 1)]

    def teardown(self) -> None:
        for cluster in self.clusters:
            self.run(cluster.close())
        self.runner.close()
        self.folder.cleanup()


def run_on(make_clusters: Callable[[], Iterable[Cluster]], *, examples: int) -> None:
    """Run the machine on clusters made anew for each example."""

    class Machine(StoreMachine):
        def make_clusters(self) -> Iterable[Cluster]:
            return make_clusters()

    bounds = settings(
        max_examples=examples, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck),
        database=None,
    )  # fmt: skip
    run_state_machine_as_test(Machine, settings=bounds)


TestStores = StoreMachine.TestCase
TestStores.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
