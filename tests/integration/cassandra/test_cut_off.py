"""An append that is cut off after any of its statements, whereupon the log is lost: the tables alone say of the instance how it
was before, or how it is after. With the log, the append is repeated, and nothing is left of what it had to clear away.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count as counted

import pytest

from perdure.adapters.cassandra import CassandraHistoryStore, packing
from perdure.adapters.cassandra.requests import Requests
from perdure.codec.avro import encode
from perdure.core.events import CustomStatusSet
from perdure.core.rows import InstanceRow
from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import EPOCH_SHIFT, Filter, Replaced, StoredEvent, StoredTurn
from perdure.services.restoration import ACTIVE
from tests.conformance.facts import event, row, turn
from tests.integration.cassandra.clusters import CassandraCluster
from tests.integration.cassandra.test_rows_left import count

LATER = 86_400_000_000 * 40

BEGUN = turn(row("a", last_seq=3), 1, 2, 3)
APPENDS = {
    "begins": ([], BEGUN),
    "begins and ends": ([], turn(row("a", last_seq=2, status="COMPLETED"), 1, 2)),
    "goes on": ([BEGUN], turn(row("a", last_seq=6), 4, 5, 6)),
    "ends": ([BEGUN], turn(row("a", last_seq=4, status="COMPLETED"), 4)),
    "stalls": ([BEGUN], turn(row("a", last_seq=4, status="STALLED"), 4)),
    "continues as new": ([BEGUN], turn(row("a", generation=1, last_seq=2), 1, 2)),
    "continues as new and ends": ([BEGUN], turn(row("a", generation=1, last_seq=2, status="COMPLETED"), 1, 2)),
    "continues as new twice": (
        [BEGUN],
        StoredTurn(row("a", generation=2, last_seq=1), [event(row("a", generation=2), 1)], [Replaced("0.0.1", 1, 9)]),
    ),
    "is run again": (
        [turn(row("a", last_seq=1, status="COMPLETED"), 1)],
        turn(row("a", "0.0.7", last_seq=1, created_at_us=LATER), 1),
    ),
    "is run again and ends": (
        [turn(row("a", last_seq=1, status="COMPLETED"), 1)],
        turn(row("a", "0.0.7", last_seq=1, created_at_us=LATER, status="FAILED"), 1),
    ),
    "is purged": ([BEGUN], turn(row("a", last_seq=4, status="PURGED"))),
    "is purged in a generation that was never stored": (
        [BEGUN],
        turn(row("a", generation=1, last_seq=2, status="PURGED")),
    ),
    "is run again after a purge": (
        [BEGUN, turn(row("a", last_seq=4, status="PURGED"))],
        turn(row("a", "0.0.7", last_seq=1, created_at_us=LATER), 1),
    ),
}


class Cut:
    """Of `after` statements, each by itself; `backwards` in each phase."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int, backwards: bool) -> None:
        self._monkeypatch = monkeypatch
        self._left = after
        self._backwards = backwards

    async def append(self, store: CassandraHistoryStore, position: int, turns: Sequence[StoredTurn]) -> bool:
        """Whether it came to its end."""
        ordinary = Requests.write

        async def write(requests, statements) -> None:
            given = list(statements)
            for statement in reversed(given) if self._backwards else given:
                if self._left == 0:
                    raise StoreUnavailable("it is cut off")
                self._left -= 1
                await ordinary(requests, [statement])

        with self._monkeypatch.context() as patch:
            patch.setattr(Requests, "write", write)
            try:
                await store.append(0, position, position, turns)
            except StoreUnavailable:
                return False
        return True


State = tuple[InstanceRow, list[StoredEvent]] | None


async def read(store: CassandraHistoryStore) -> State:
    """As `perdure restore` and the owners after it: a listing of those that are active, then each."""
    found = (await store.load(["a"])).get("a")
    active = (await store.list(Filter(statuses=ACTIVE), 9)).rows
    every = (await store.list(Filter(), 9)).rows
    assert active == ([found.row] if found is not None and found.row.status in ACTIVE else [])
    assert every == ([found.row] if found is not None and found.row.status != "PURGED" else [])
    return None if found is None else (found.row, found.events)


def other_event(of: InstanceRow, seq: int) -> StoredEvent:
    return StoredEvent(seq, encode(CustomStatusSet(of.run, of.generation, seq, 5, 0, value="otherwise")))


async def go_on_otherwise(store: CassandraHistoryStore, state: State) -> None:
    """Under the next epoch, in rows of several events where those before had one."""
    held: list[StoredEvent] = []
    if state is None or state[0].status not in ACTIVE:
        of = row("a", "1.0.0", last_seq=4, created_at_us=LATER * 2)
    else:
        before, held = state
        of = row("a", before.run, before.generation, before.last_seq + 4, created_at_us=before.created_at_us)
    new = [other_event(of, seq) for seq in range(len(held) + 1, of.last_seq + 1)]
    await store.append(0, 1, 1 << EPOCH_SHIFT, [StoredTurn(of, new)])
    assert await read(store) == (of, held + new)
    over = row("a", of.run, of.generation + 1, 4, created_at_us=of.created_at_us)
    begun = [other_event(over, seq) for seq in range(1, 5)]
    await store.append(0, 2, 1 << EPOCH_SHIFT | 1, [StoredTurn(over, begun)])
    assert await read(store) == (over, begun)


class Case:
    """What was stored, and an append; a namespace for each time that it is tried."""

    def __init__(self, cluster: CassandraCluster, before: Sequence[StoredTurn], then: StoredTurn) -> None:
        self._cluster = cluster
        self._before = before
        self._names = counted()
        self.then = then
        self.position = len(before)

    async def cluster(self) -> CassandraCluster:
        made = CassandraCluster(self._cluster.driver, f"{self._cluster.namespace}x{next(self._names)}")
        await made.open()
        for position, each in enumerate(self._before):
            await made.store.append(0, position, position, [each])
        return made

    async def outcomes(self) -> tuple[State, State]:
        """Before and after."""
        store = (await self.cluster()).store
        before = await read(store)
        await store.append(0, self.position, self.position, [self.then])
        return before, await read(store)


@pytest.fixture(params=APPENDS)
def case(request, cluster, monkeypatch) -> Case:
    monkeypatch.setattr(packing, "ROW_BYTES_MAX", 1)  # a row for each event
    return Case(cluster, *APPENDS[request.param])


@pytest.mark.parametrize("backwards", [False, True])
async def test_wherever_an_append_is_cut_off_the_instance_is_as_before_or_as_after_it(case, monkeypatch, backwards):
    outcomes = await case.outcomes()
    whole, seen = False, []
    for after in counted():
        store = (await case.cluster()).store
        whole = await Cut(monkeypatch, after, backwards).append(store, case.position, [case.then])
        state = await read(store)
        assert state in outcomes
        seen.append(outcomes.index(state))
        with monkeypatch.context() as patch:
            patch.setattr(packing, "ROW_BYTES_MAX", 64 * 1024)
            await go_on_otherwise(store, state)
        if whole:
            break
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 1)


@pytest.mark.parametrize("backwards", [False, True])
async def test_an_append_that_is_repeated_until_it_is_whole_leaves_what_one_that_was_not_cut_off_leaves(
    case, monkeypatch, backwards
):
    """Each time it comes a little further, and at the last a later owner's."""
    _, after_it = await case.outcomes()
    lying = 0 if case.then.row.status == "PURGED" else 1
    for first in counted():
        made = await case.cluster()
        cuts = counted(first)
        whole_at_once = whole = await Cut(monkeypatch, next(cuts), backwards).append(
            made.store, case.position, [case.then]
        )
        while not whole:
            whole = await Cut(monkeypatch, next(cuts), backwards).append(made.store, case.position + 1, [case.then])
        assert await read(made.store) == after_it
        assert (count(made, "history"), count(made, "visibility")) == (len(after_it[1]), lying)
        if whole_at_once:
            break


async def test_what_a_purge_that_was_cut_off_has_left_goes_with_its_tombstone(cluster, monkeypatch):
    """Nobody repeats it once the log is lost."""
    case = Case(cluster, [BEGUN], turn(row("a", last_seq=3, status="PURGED", updated_at_us=5)))
    for after in counted():
        made = await case.cluster()
        whole = await Cut(monkeypatch, after, backwards=False).append(made.store, case.position, [case.then])
        purged = (await read(made.store))[0].status == "PURGED"
        assert await made.store.forget_tombstones(10) == purged
        if purged:
            assert [count(made, table) for table in ("history", "visibility", "instances")] == [0, 0, 0]
        if whole:
            break
