"""An append that fails between its events and its rows leaves nothing behind that nobody would ever find again."""

from __future__ import annotations

import pytest

from perdure.adapters.cassandra.writing import Writing
from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import Replaced, StoredTurn
from perdure.roles.orchestrator.writebehind import merge
from tests.conformance.facts import event, row, turn
from tests.integration.cassandra.test_rows_left import count


async def fails_half_way(cluster, monkeypatch, position, turns):
    def rows(self, turns):
        raise StoreUnavailable("between events and rows")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(Writing, "rows", rows)
        with pytest.raises(StoreUnavailable):
            await cluster.store.append(0, 1, position, turns)


@pytest.fixture(params=[False, True], ids=["never stored", "stored before"])
async def dirty(request, cluster, monkeypatch):
    """What its owner holds of an instance after an append that failed half-way."""
    first, last = 1, 3
    if request.param:
        await cluster.store.append(0, 1, 1, [turn(row("a", last_seq=1), 1)])
        first, last = 2, 5_000  # into a second chunk, of which the row that is stored knows nothing
    held = {"a": turn(row("a", last_seq=last), *range(first, last + 1))}
    await fails_half_way(cluster, monkeypatch, 2, list(held.values()))
    return held


async def test_a_purge_clears_away_what_a_failed_append_has_left(cluster, dirty):
    merge(dirty, StoredTurn(row("a", last_seq=dirty["a"].row.last_seq, status="PURGED")))
    await cluster.store.append(0, 1, 3, list(dirty.values()))
    assert count(cluster, "history") == 0


async def test_the_next_generation_clears_away_what_a_failed_append_has_left(cluster, dirty):
    merge(dirty, turn(row("a", generation=1, last_seq=1), 1))
    await cluster.store.append(0, 1, 3, list(dirty.values()))
    assert count(cluster, "history") == 1


async def test_the_next_owner_clears_away_what_the_one_before_had_begun_to_store(cluster, dirty):
    """It knows the earlier generation from the log's tail alone."""
    last = dirty["a"].row.last_seq
    later = row("a", generation=1, last_seq=1)
    await cluster.store.append(0, 1, 3, [StoredTurn(later, [event(later, 1)], [Replaced(later.run, 0, last)])])
    assert count(cluster, "history") == 1


async def test_a_purge_that_fails_half_way_leaves_what_can_be_read(cluster, monkeypatch):
    """Its owner may die, and the next one has to read the instance before it can purge it again."""
    await cluster.store.append(0, 1, 1, [turn(row("a", last_seq=3), 1, 2, 3)])
    purged = StoredTurn(row("a", last_seq=4, status="PURGED"))
    await fails_half_way(cluster, monkeypatch, 2, [purged])
    assert len((await cluster.store.load(["a"]))["a"].events) == 3
    await cluster.store.append(0, 1, 2, [purged])
    assert count(cluster, "history") == 0
