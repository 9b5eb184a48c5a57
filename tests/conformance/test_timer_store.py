"""Far timers, by shard and slice."""

from __future__ import annotations

from perdure.ports.store import StoredTimer
from tests.conformance.clusters import Cluster

SET = "r/0/1/1/timer"


def timer(
    instance_id: str, fire_at_us: int, identity: str = SET, value: bytes = b"\x00set", at: int = 1
) -> StoredTimer:
    """`at`: the position of its record."""
    return StoredTimer(fire_at_us, instance_id, identity, value, at)


async def test_timers_are_loaded_by_time_after_a_crash(cluster: Cluster) -> None:
    given = [timer("b", 30), timer("é", 10), timer("a", 20, "x"), timer("a", 20, "w", b"")]
    await cluster.timers.put(1, 7, given)
    await cluster.crash()
    assert await cluster.timers.load(1, 7) == [given[1], given[3], given[2], given[0]]


async def test_slices_and_shards_are_apart(cluster: Cluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 1)])
    assert await cluster.timers.load(1, 8) == []
    assert await cluster.timers.load(2, 7) == []


async def test_putting_a_timer_again_moves_it(cluster: Cluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 1), timer("b", 2)])
    await cluster.timers.put(1, 7, [timer("a", 3, value=b"new", at=2)])
    assert await cluster.timers.load(1, 7) == [timer("b", 2), timer("a", 3, value=b"new")]


async def test_removed_timers_are_gone_and_absent_ones_harmless(cluster: Cluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 1), timer("a", 2, "other"), timer("b", 3)])
    await cluster.timers.remove(1, 7, [("a", SET, 2), ("never", "x", 2)])
    await cluster.timers.remove(9, 9, [("a", "other", 2)])
    assert await cluster.timers.load(1, 7) == [timer("a", 2, "other"), timer("b", 3)]


async def test_many_timers_of_a_slice(cluster: Cluster) -> None:
    given = [timer(f"i{number:04}", number) for number in range(700)]
    await cluster.timers.put(1, 7, given)
    await cluster.timers.remove(1, 7, [(of.instance_id, of.identity, 2) for of in given[:333]])
    assert await cluster.timers.load(1, 7) == given[333:]


async def test_a_slice_is_known_until_it_is_dropped_even_when_it_is_empty(cluster: Cluster) -> None:
    for slice_no in (9, 3, 5):
        await cluster.timers.put(1, slice_no, [timer("a", 1)])
    await cluster.timers.put(2, 4, [timer("a", 1)])
    await cluster.timers.remove(1, 3, [("a", SET, 2)])
    await cluster.crash()
    assert await cluster.timers.slices(1, 8) == [3, 5]
    assert await cluster.timers.slices(1, 9) == [3, 5, 9]
    await cluster.timers.drop_slice(1, 3, 3)
    await cluster.timers.drop_slice(1, 3, 3)
    assert await cluster.timers.slices(1, 9) == [5, 9]
    assert await cluster.timers.load(1, 5) == [timer("a", 1)]


async def test_a_dropped_slice_is_empty(cluster: Cluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 1)])
    await cluster.timers.drop_slice(1, 7, 3)
    assert await cluster.timers.load(1, 7) == []
    assert await cluster.timers.slices(1, 100) == []


async def test_a_slice_that_was_dropped_may_be_used_again(cluster: Cluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 1)])
    await cluster.timers.drop_slice(1, 7, 3)
    await cluster.timers.put(1, 7, [timer("a", 2, at=4)])
    assert await cluster.timers.load(1, 7) == [timer("a", 2)]
    assert await cluster.timers.slices(1, 7) == [7]
