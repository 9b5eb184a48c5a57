"""What logs inside one process promise beyond the port's contract: there is no network that could lose an answer."""

from __future__ import annotations

import asyncio

import pytest

from perdure.ports.errors import Fenced
from tests.conformance.clusters import TOPICS, Cluster
from tests.conformance.facts import Listener, everything, out, values, within


async def test_a_writer_fenced_on_its_way_knows_that_nothing_was_written(cluster: Cluster) -> None:
    for _ in range(20):
        old = await cluster.log.open_writer("w")
        under_way = [asyncio.ensure_future(old.commit([out("old"), out("old", 1)])) for _ in range(3)]
        await cluster.client().open_writer("w")
        there = len(await everything(cluster.log))
        outcomes = await asyncio.gather(*under_way, return_exceptions=True)
        assert all(isinstance(outcome, int | Fenced) for outcome in outcomes)
        assert sum(isinstance(outcome, int) for outcome in outcomes) == there
        with pytest.raises(Fenced):
            await old.commit([out("late")])
        await cluster.log.delete_before(TOPICS.instances, 0, 1_000_000)


async def test_a_woken_read_gives_every_record_that_was_acknowledged(cluster: Cluster) -> None:
    membership = await cluster.log.join("group", [TOPICS.instances, TOPICS.history], Listener())
    reader = membership.reader(TOPICS.instances, 0)
    await cluster.log.append([out("a")])
    reader.wake()
    assert values(await within(reader.read(10))) == ["a"]


async def test_members_are_told_of_another_before_its_join_returns(cluster: Cluster) -> None:
    first, second = Listener(), Listener()
    await cluster.client().join("g", [TOPICS.instances], first)
    await cluster.client().join("g", [TOPICS.instances], second)
    assert sorted(first.owned + second.owned) == [0, 1, 2]
