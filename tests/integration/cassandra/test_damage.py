"""Rows that are lost or overwritten: each stops its own instance, which is named, and nobody else's."""

from __future__ import annotations

import pytest

from perdure.ports.errors import HistoryDamaged
from perdure.ports.store import Filter
from tests.conformance.facts import row, turn
from tests.integration.cassandra.clusters import CassandraCluster

OF_A = "WHERE namespace = '{namespace}' AND instance_id = 'a'"
OF_HISTORY = f"{OF_A} AND run = '0.0.1' AND generation = 0 AND chunk = 0 AND first_seq = 1"

DAMAGES = [
    (f"DELETE FROM {{keyspace}}.history USING TIMESTAMP 9 {OF_HISTORY}", "event 1 of 3 is missing"),
    (f"UPDATE {{keyspace}}.history USING TIMESTAMP 9 SET events = 0x00 {OF_HISTORY}", "cut off or overwritten"),
    (f"UPDATE {{keyspace}}.history USING TIMESTAMP 9 SET events = null {OF_HISTORY}", "event 1 of 3 is missing"),
    (f"UPDATE {{keyspace}}.history USING TIMESTAMP 9 SET codec = 9 {OF_HISTORY}", "codec 9 by a newer Perdure"),
    (f"UPDATE {{keyspace}}.instances USING TIMESTAMP 9 SET row = 0xc301 {OF_A}", "row cannot be read"),
    (f"UPDATE {{keyspace}}.instances USING TIMESTAMP 9 SET row = null {OF_A}", "row cannot be read"),
]


@pytest.fixture
async def damaged(cluster: CassandraCluster, request: pytest.FixtureRequest) -> CassandraCluster:
    """Instances a and b, and a statement against a."""
    for number, seqs in enumerate([(1, 2), (3,)]):
        turns = [turn(row(name, last_seq=seqs[-1], status="STALLED"), *seqs) for name in ("a", "b")]
        await cluster.store.append(0, 1, number, turns)
    names = {"keyspace": cluster.driver.settings.keyspace, "namespace": cluster.namespace}
    cluster.driver.session.execute(request.param.format(**names))
    return cluster


@pytest.mark.parametrize(("damaged", "says"), DAMAGES, indirect=["damaged"])
async def test_a_damaged_instance_is_named_and_the_others_can_be_loaded(damaged: CassandraCluster, says: str) -> None:
    with pytest.raises(HistoryDamaged, match=says) as told:
        await damaged.store.load(["a", "b"])
    assert set(told.value.damages) == {"a"}
    assert [each.seq for each in (await damaged.store.load(["b"]))["b"].events] == [1, 2, 3]


@pytest.mark.parametrize("damaged", [statement for statement, _ in DAMAGES[-2:]], indirect=True)
async def test_listings_go_on_without_a_row_that_cannot_be_read(damaged: CassandraCluster) -> None:
    assert [each.instance_id for each in (await damaged.store.list(Filter(), 9)).rows] == ["b"]
    assert [each.instance_id for each in await damaged.store.stalled(0, 9)] == ["b"]
    with pytest.raises(HistoryDamaged, match="of 'a' the row cannot be read"):
        await damaged.store.load(["a", "b"], events=False)


@pytest.mark.parametrize("damaged", [DAMAGES[0][0]], indirect=True)
async def test_a_repaired_instance_is_loaded(damaged: CassandraCluster) -> None:
    await damaged.store.append(0, 1, 10, [turn(row("a", last_seq=3), 1, 2, 3)])
    assert [each.seq for each in (await damaged.store.load(["a"]))["a"].events] == [1, 2, 3]
