"""Timers' writes that come late, and batches of them."""

from __future__ import annotations

from tests.conformance.late_timer_writes import *  # noqa: F403 - its tests are collected here, with this folder's `cluster`
from tests.conformance.test_timer_store import timer
from tests.integration.cassandra.clusters import CassandraCluster


async def test_a_batch_is_split_by_bytes(cluster: CassandraCluster) -> None:
    given = [timer(f"i{number}", number, value=b"x" * 30_000) for number in range(9)]
    await cluster.timers.put(1, 7, given)
    assert await cluster.timers.load(1, 7) == given
