"""Listings that span days and shards, and those that hardly find anything."""

from __future__ import annotations

import pytest

from perdure.adapters.cassandra import listing
from perdure.ports.store import Filter, StoredTurn
from tests.conformance.facts import row
from tests.integration.cassandra.clusters import CassandraCluster

DAY_US = 86_400_000_000


async def store_days(cluster: CassandraCluster) -> list[str]:
    """300 of one day, many at the same microsecond, and 40 more over a hundred days. Returns ids, newest first."""
    rows = [row(f"busy-{number:03}", created_at_us=50 * DAY_US + number // 100) for number in range(300)]
    rows += [row(f"calm-{number:02}", created_at_us=number * DAY_US * 100 // 40 + 7) for number in range(40)]
    await cluster.store.append(0, 1, 1, [StoredTurn(of) for of in rows])
    rows.sort(key=lambda of: (-of.created_at_us, of.instance_id))
    return [of.instance_id for of in rows]


async def listed(cluster: CassandraCluster, where: Filter, limit: int) -> tuple[list[str], int]:
    """The ids of all pages, and how many pages."""
    found: list[str] = []
    token, pages = "", 0
    while token or not pages:
        page = await cluster.store.list(where, limit, token)
        found += [of.instance_id for of in page.rows]
        token, pages = page.next, pages + 1
    return found, pages


@pytest.mark.parametrize("limit", [7, 50, 1000])
async def test_pages_go_through_days_and_shards_in_order(cluster: CassandraCluster, limit: int) -> None:
    ids = await store_days(cluster)
    assert (await listed(cluster, Filter(), limit))[0] == ids
    window = Filter(created_from_us=20 * DAY_US, created_to_us=50 * DAY_US + 1, id_prefix="busy")
    assert (await listed(cluster, window, limit))[0] == [f"busy-{number:03}" for number in range(100)]


async def test_a_page_that_finds_little_ends_early_and_goes_on(
    cluster: CassandraCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_days(cluster)
    monkeypatch.setattr(listing, "ROWS_SCANNED_MAX", 20)
    monkeypatch.setattr(listing, "ROWS_PER_SHARD_MAX", 3)
    found, pages = await listed(cluster, Filter(id_prefix="calm-00"), 10)
    assert found == ["calm-00"]
    assert pages > 5
