"""Transactions: atomic, ordered, fenced."""

from __future__ import annotations

import asyncio

import pytest

from perdure.core.limits import RECORD_BYTES_MAX
from perdure.ports.errors import CommitUnknown, Fenced, RecordTooLarge, TopicMissing
from perdure.ports.log import Committed, Consumed
from tests.conformance.clusters import TOPICS, Cluster
from tests.conformance.facts import Listener, everything, out, values, within


async def test_a_commit_is_visible_in_all_its_partitions_in_the_given_order(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    given = [
        out("a0", 0),
        out("h0", 0, TOPICS.history),
        out("a1", 1),
        out("b0", 0),
        out("h1", 0, TOPICS.history),
        out("b1", 1),
    ]
    last = await writer.commit(given)
    assert values(await everything(cluster.log, 0)) == ["a0", "b0"]
    assert values(await everything(cluster.log, 0, TOPICS.history)) == ["h0", "h1"]
    found = await everything(cluster.log, 1)
    assert values(found) == ["a1", "b1"]
    assert last == found[-1].offset


async def test_a_commit_outlives_a_crash_whole(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    await writer.commit([out("a"), out("b", 1), out("c", 2, TOPICS.history)])
    await cluster.crash()
    assert values(await everything(cluster.log)) == ["a"]
    assert values(await everything(cluster.log, 1)) == ["b"]
    assert values(await everything(cluster.log, 2, TOPICS.history)) == ["c"]


async def test_a_newer_writer_fences_every_earlier_one_of_its_id(cluster: Cluster) -> None:
    first = await cluster.log.open_writer("w")
    second = await cluster.client().open_writer("w")
    await second.commit([out("second")])
    third = await cluster.log.open_writer("w")
    for zombie in (first, second, first):
        with pytest.raises(Fenced):
            await zombie.commit([out("zombie")])
    await third.commit([out("third")])
    assert values(await everything(cluster.log)) == ["second", "third"]


async def test_writers_of_other_ids_do_not_fence_each_other(cluster: Cluster) -> None:
    one = await cluster.log.open_writer("one")
    other = await cluster.log.open_writer("other")
    await one.commit([out("a")])
    await other.commit([out("b")])
    await one.commit([out("c")])
    assert values(await everything(cluster.log)) == ["a", "b", "c"]


async def test_what_an_earlier_writer_has_under_way_is_settled_before_the_new_one_is_open(cluster: Cluster) -> None:
    for _ in range(20):
        old = await cluster.log.open_writer("w")
        under_way = [asyncio.ensure_future(old.commit([out("old"), out("old", 1)])) for _ in range(3)]
        await cluster.client().open_writer("w")
        there = len(await everything(cluster.log))
        outcomes = await asyncio.gather(*under_way, return_exceptions=True)
        # Whether a commit that is fenced on its way was written, its writer may not learn; the new owner reads it.
        assert all(isinstance(outcome, int | Fenced | CommitUnknown) for outcome in outcomes)
        assert there >= sum(isinstance(outcome, int) for outcome in outcomes)
        assert len(await everything(cluster.log)) == len(await everything(cluster.log, 1)) == there
        with pytest.raises(Fenced):
            await old.commit([out("late")])
        await cluster.log.delete_before(TOPICS.instances, 0, 1_000_000)
        await cluster.log.delete_before(TOPICS.instances, 1, 1_000_000)


async def test_a_fenced_commit_writes_nothing_though_others_of_its_moment_do(cluster: Cluster) -> None:
    zombie = await cluster.log.open_writer("w")
    owner = await cluster.log.open_writer("w")
    outcomes = await asyncio.gather(
        owner.commit([out("a")]),
        zombie.commit([out("z")]),
        cluster.log.append([out("b")]),
        owner.commit([out("c")]),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], Fenced)
    assert sorted(values(await everything(cluster.log))) == ["a", "b", "c"]


async def test_commits_of_one_writer_keep_their_order(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    offsets = await asyncio.gather(*(writer.commit([out(f"{number}")]) for number in range(20)))
    assert offsets == sorted(offsets)
    assert values(await everything(cluster.log)) == [f"{number}" for number in range(20)]


async def test_a_record_over_the_limit_kills_the_writer_and_writes_nothing(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    with pytest.raises(RecordTooLarge) as caught:
        await writer.commit([out("a"), out("b"), out(b"x" * (RECORD_BYTES_MAX + 1)), out("c")])
    assert caught.value.index == 2
    with pytest.raises(Fenced, match="open a new one"):
        await writer.commit([out("a")])
    assert await everything(cluster.log) == []
    writer = await cluster.log.open_writer("w")
    await writer.commit([out("again")])
    assert values(await everything(cluster.log)) == ["again"]


async def test_an_unknown_topic_writes_nothing(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    with pytest.raises(TopicMissing):
        await writer.commit([out("a"), out("b", topic="nowhere")])
    assert await everything(cluster.log) == []


async def test_a_commit_needs_records(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    with pytest.raises(ValueError, match="needs records"):
        await writer.commit([])
    await writer.commit([out("a")])


async def test_volatile_records_keep_their_place_in_a_commit_and_among_appends(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    await asyncio.gather(
        cluster.log.append([out("0")]),
        cluster.log.append([out("1", volatile=True)]),
        cluster.log.append([out("2")]),
    )
    await writer.commit([out("3"), out("4", volatile=True), out("5")])
    await cluster.log.append([out("6", volatile=True)])
    await cluster.log.append([out("7", volatile=True), out("8")])
    assert values(await everything(cluster.log)) == [f"{number}" for number in range(9)]


async def test_a_crash_loses_volatile_records_at_most(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    await writer.commit([out("a"), out("v", volatile=True), out("b")])
    await cluster.log.append([out("v", volatile=True)])
    await cluster.crash()
    assert [value for value in values(await everything(cluster.log)) if value != "v"] == ["a", "b"]


async def test_a_cancelled_commit_leaves_a_log_that_can_be_read_and_written(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    commit = asyncio.ensure_future(writer.commit([out("perhaps"), out("perhaps", 1)]))
    await asyncio.sleep(0)
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit
    writer = await within(cluster.log.open_writer("w"))
    there = values(await everything(cluster.log))
    assert there == values(await everything(cluster.log, 1))
    await writer.commit([out("after")])
    assert values(await everything(cluster.log)) == [*there, "after"]


def consumed(offset: int, metadata: str = "", partition: int = 0) -> Consumed:
    return Consumed("g", TOPICS.instances, partition, Committed(offset, metadata))


async def stored(cluster: Cluster, partition: int = 0) -> Committed:
    membership = await cluster.log.join("g", [TOPICS.instances], Listener())
    try:
        return await membership.reader(TOPICS.instances, partition).committed()
    finally:
        await membership.leave()


async def test_a_position_is_stored_with_the_records_of_its_commit(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    await writer.commit([out("a"), out("b", 1)], consumed=consumed(7, "note"))
    await writer.commit([out("c")], consumed=consumed(8, "another", partition=1))
    await cluster.log.open_writer("w")
    assert await stored(cluster) == Committed(7, "note")
    assert await stored(cluster, 1) == Committed(8, "another")
    assert values(await everything(cluster.log)) == ["a", "c"]


async def test_a_position_that_went_with_a_commit_outlives_a_crash(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    await writer.commit([out("a")], consumed=consumed(7))
    await writer.commit([out("b")], consumed=consumed(9))
    await cluster.crash()
    assert await stored(cluster) == Committed(9)


async def test_a_position_goes_without_records_too_and_nothing_at_all_is_refused(cluster: Cluster) -> None:
    writer = await cluster.log.open_writer("w")
    with pytest.raises(ValueError, match="records"):
        await writer.commit([])
    assert await writer.commit([], consumed=consumed(5)) == -1
    await writer.commit([out("a")])
    await cluster.log.open_writer("w")
    assert await stored(cluster) == Committed(5)


async def test_a_fenced_commit_stores_no_position_and_one_that_is_refused_does_not_either(cluster: Cluster) -> None:
    first = await cluster.log.open_writer("w")
    await first.commit([out("a")], consumed=consumed(3))
    second = await cluster.client().open_writer("w")
    for records in ([out("zombie")], []):
        with pytest.raises(Fenced):
            await first.commit(records, consumed=consumed(99))
    with pytest.raises(RecordTooLarge):
        await second.commit([out(b"x" * (RECORD_BYTES_MAX + 1))], consumed=consumed(98))
    await cluster.log.open_writer("w")
    assert await stored(cluster) == Committed(3)
    assert values(await everything(cluster.log)) == ["a"]


async def test_a_position_is_as_a_member_stored_it_whichever_came_last(cluster: Cluster) -> None:
    membership = await cluster.log.join("g", [TOPICS.instances], Listener())
    reader = membership.reader(TOPICS.instances, 0)
    await reader.commit(2)
    writer = await cluster.log.open_writer("w")
    await writer.commit([out("a")], consumed=consumed(4))
    await cluster.log.open_writer("w")
    assert await within(reader.committed()) == Committed(4)
    await reader.commit(6)
    assert await within(reader.committed()) == Committed(6)
