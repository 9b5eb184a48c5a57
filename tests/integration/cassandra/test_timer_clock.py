"""The order of timers' writes, when owners' clocks differ."""

from __future__ import annotations

from perdure.adapters.cassandra import CassandraTimerStore
from perdure.ports.clock import Clock
from tests.conformance.test_timer_store import timer
from tests.integration.cassandra.clusters import CassandraCluster


class SlowClock(Clock):
    def now_us(self) -> int:
        return 1


async def test_a_new_owner_whose_clock_is_behind_overrules_the_one_before(cluster: CassandraCluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 1), timer("b", 2)])
    behind = CassandraTimerStore(cluster.driver, cluster.namespace, SlowClock())
    await behind.put(1, 7, [timer("a", 3)])
    await behind.remove(1, 7, [("b", "r/0/1/1/timer")])
    assert await behind.load(1, 7) == [timer("a", 3)]
    await behind.drop_slice(1, 7)
    assert await behind.slices(1, 9) == []
    assert await behind.load(1, 7) == []


async def test_a_batch_is_split_by_bytes(cluster: CassandraCluster) -> None:
    given = [timer(f"i{number}", number, value=b"x" * 30_000) for number in range(9)]
    await cluster.timers.put(1, 7, given)
    assert await cluster.timers.load(1, 7) == given
