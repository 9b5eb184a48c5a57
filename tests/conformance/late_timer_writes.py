"""What an owner that has lost its shard may still write: the contract of a timer store that several may write to."""

from __future__ import annotations

from tests.conformance.clusters import Cluster
from tests.conformance.test_timer_store import SET, timer

__all__ = [
    "test_a_late_drop_takes_only_what_its_owner_knew",
    "test_a_late_put_brings_back_nothing_that_was_dropped",
    "test_a_late_put_brings_back_nothing_that_was_removed",
    "test_a_late_put_does_not_move_a_timer_back",
    "test_a_late_removal_takes_nothing_that_was_put_since",
    "test_a_new_owner_that_writes_the_same_again_changes_nothing",
    "test_the_epoch_of_the_topic_orders_before_the_offset",
]


async def test_a_late_put_brings_back_nothing_that_was_removed(cluster: Cluster) -> None:
    await cluster.timers.remove(1, 7, [("a", SET, 6)])
    await cluster.timers.put(1, 7, [timer("a", 1, at=5), timer("b", 2, at=5)])
    assert await cluster.timers.load(1, 7) == [timer("b", 2)]


async def test_a_late_put_does_not_move_a_timer_back(cluster: Cluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 9, value=b"new", at=6)])
    await cluster.timers.put(1, 7, [timer("a", 1, value=b"old", at=5)])
    assert await cluster.timers.load(1, 7) == [timer("a", 9, value=b"new")]


async def test_a_late_removal_takes_nothing_that_was_put_since(cluster: Cluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 1, at=7)])
    await cluster.timers.remove(1, 7, [("a", SET, 6)])
    assert await cluster.timers.load(1, 7) == [timer("a", 1)]


async def test_a_late_put_brings_back_nothing_that_was_dropped(cluster: Cluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 1, at=5)])
    await cluster.timers.drop_slice(1, 7, 9)
    await cluster.timers.put(1, 7, [timer("a", 1, at=5), timer("b", 1, at=9)])
    assert await cluster.timers.load(1, 7) == []
    assert await cluster.timers.slices(1, 9) == []


async def test_a_late_drop_takes_only_what_its_owner_knew(cluster: Cluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 1, at=5), timer("b", 2, at=10)])
    await cluster.timers.drop_slice(1, 7, 9)
    assert await cluster.timers.load(1, 7) == [timer("b", 2)]
    assert await cluster.timers.slices(1, 9) == [7]


async def test_a_new_owner_that_writes_the_same_again_changes_nothing(cluster: Cluster) -> None:
    """From a position that was stored before: set at 3, moved by 5, removed by 6; only b was never cancelled."""
    for _ in range(2):
        await cluster.timers.put(1, 7, [timer("a", 1, at=3), timer("b", 2, at=4)])
        await cluster.timers.put(1, 7, [timer("a", 9, value=b"moved", at=5)])
        await cluster.timers.remove(1, 7, [("a", SET, 6)])
        assert await cluster.timers.load(1, 7) == [timer("b", 2)]


async def test_the_epoch_of_the_topic_orders_before_the_offset(cluster: Cluster) -> None:
    await cluster.timers.put(1, 7, [timer("a", 1, at=900)])
    await cluster.timers.remove(1, 7, [("a", SET, (1 << 48) | 2)])
    assert await cluster.timers.load(1, 7) == []
