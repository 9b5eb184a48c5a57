"""What lies in the tables afterwards: a purge leaves nothing, and late writes bring nothing back."""

from __future__ import annotations

import pytest

from perdure.ports.errors import HistoryDamaged
from perdure.ports.store import Filter, StoredTurn
from tests.conformance.facts import event, row, turn
from tests.integration.cassandra.clusters import CassandraCluster

COUNT = "SELECT count(*) FROM {keyspace}.{table} WHERE namespace = '{namespace}' ALLOW FILTERING"


def count(cluster: CassandraCluster, table: str) -> int:
    query = COUNT.format(keyspace=cluster.driver.settings.keyspace, table=table, namespace=cluster.namespace)
    return cluster.driver.session.execute(query, timeout=30).one()[0]


def long_turn(of, first: int, last: int) -> StoredTurn:
    return StoredTurn(of, [event(of, seq) for seq in range(first, last + 1)])


async def test_a_history_of_several_partitions_is_read_whole_and_purged_whole(cluster: CassandraCluster) -> None:
    for number, first in enumerate((1, 3001, 6001, 9001)):
        await cluster.store.append(0, 1, number, [long_turn(row("a", last_seq=first + 2999), first, first + 2999)])
    stored = (await cluster.store.load(["a"]))["a"]
    assert [each.seq for each in stored.events] == list(range(1, 12_001))
    await cluster.store.append(0, 1, 9, [turn(row("a", status="PURGED"))])
    assert (count(cluster, "history"), count(cluster, "visibility")) == (0, 0)


async def test_a_new_generation_leaves_nothing_of_the_earlier_one(cluster: CassandraCluster) -> None:
    await cluster.store.append(0, 1, 1, [long_turn(row("a", last_seq=5000), 1, 5000)])
    await cluster.store.append(0, 1, 2, [turn(row("a", generation=1, last_seq=1), 1)])
    assert count(cluster, "history") == 1
    assert count(cluster, "visibility") == 1


async def test_a_zombies_late_write_after_a_purge_leaves_no_event(cluster: CassandraCluster) -> None:
    await cluster.store.append(0, 1, 1, [turn(row("a", last_seq=1), 1)])
    await cluster.store.append(0, 1, 5, [turn(row("a", status="PURGED"))])
    await cluster.store.append(0, 1, 3, [turn(row("a", last_seq=2), 2)])
    assert (count(cluster, "history"), count(cluster, "visibility")) == (0, 0)


async def test_a_repeated_append_with_more_turns_lands_on_the_same_row(cluster: CassandraCluster) -> None:
    await cluster.store.append(0, 1, 1, [turn(row("a", last_seq=2), 1, 2)])
    await cluster.store.append(0, 1, 2, [turn(row("a", last_seq=3), 1, 2, 3)])
    assert count(cluster, "history") == 1
    assert [each.seq for each in (await cluster.store.load(["a"]))["a"].events] == [1, 2, 3]


async def test_a_history_with_a_hole_is_not_given_out(cluster: CassandraCluster) -> None:
    for number in (1, 2):
        await cluster.store.append(0, 1, number, [turn(row("a", last_seq=number), number)])
    cluster.driver.session.execute(
        f"DELETE FROM {cluster.driver.settings.keyspace}.history USING TIMESTAMP 9 WHERE namespace = '{cluster.namespace}' AND instance_id = 'a'"
        " AND run = '0.0.1' AND generation = 0 AND chunk = 0 AND first_seq = 1"
    )
    with pytest.raises(HistoryDamaged, match=r"of 'a' event 1 of 2 is missing\. Repair the store"):
        await cluster.store.load(["a"])
    assert (await cluster.store.load(["a"], events=False))["a"].row.last_seq == 2


async def test_an_instance_that_no_longer_stalls_is_taken_off_the_list(cluster: CassandraCluster) -> None:
    await cluster.store.append(0, 1, 1, [turn(row("a", status="STALLED")), turn(row("b", status="STALLED"))])
    await cluster.store.append(0, 1, 2, [turn(row("a", status="RUNNING"))])
    assert [each.instance_id for each in await cluster.store.stalled(0, 9)] == ["b"]
    assert count(cluster, "stalled") == 1
    await cluster.store.append(0, 1, 3, [turn(row("a", status="STALLED"))])
    assert [each.instance_id for each in await cluster.store.stalled(0, 9)] == ["a", "b"]


async def test_forgetting_a_tombstone_spares_the_ids_next_run(cluster: CassandraCluster) -> None:
    await cluster.store.append(0, 1, 1, [turn(row("a", status="PURGED", updated_at_us=5))])
    await cluster.store.append(0, 1, 2, [turn(row("a", "0.0.2", last_seq=1), 1)])
    assert await cluster.store.forget_tombstones(10) == 0
    assert (await cluster.store.load(["a"]))["a"].row.run == "0.0.2"
    assert count(cluster, "tombstones") == 0


async def test_a_run_created_at_another_time_is_listed_once(cluster: CassandraCluster) -> None:
    await cluster.store.append(0, 1, 1, [turn(row("a", last_seq=1, created_at_us=10, status="COMPLETED"), 1)])
    await cluster.store.append(0, 1, 2, [turn(row("a", "0.0.2", created_at_us=86_400_000_000 * 40))])
    page = await cluster.store.list(Filter(), 10)
    assert [each.run for each in page.rows] == ["0.0.2"]
    assert count(cluster, "visibility") == 1


async def test_a_late_turn_of_an_earlier_run_is_not_listed_beside_the_later_one(cluster: CassandraCluster) -> None:
    await cluster.store.append(0, 1, 5, [turn(row("a", "0.0.2", last_seq=1, created_at_us=90), 1)])
    await cluster.store.append(0, 1, 3, [turn(row("a", last_seq=2, created_at_us=10), 2)])
    assert [each.created_at_us for each in (await cluster.store.list(Filter(), 10)).rows] == [90]


async def test_namespaces_share_a_keyspace_without_meeting(cluster: CassandraCluster) -> None:
    other = CassandraCluster(cluster.driver, cluster.namespace + "b")
    await other.open()
    await cluster.store.append(0, 5, 5, [turn(row("a", last_seq=1), 1)])
    assert await other.store.load(["a"]) == {}
    assert (await other.store.list(Filter(), 9)).rows == []
    assert await other.store.stored_to(0) == 0
    await other.close()
