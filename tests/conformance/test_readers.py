"""Reading an assigned partition, and the group's position in it."""

from __future__ import annotations

import asyncio

import pytest

from perdure.ports.errors import NotAssigned, OffsetOutOfRange
from perdure.ports.log import Membership, Reader
from tests.conformance.clusters import TOPICS, Cluster
from tests.conformance.facts import Listener, everything, out, settle, until, values, within


async def join(cluster: Cluster) -> Membership:
    return await cluster.log.join("group", [TOPICS.instances, TOPICS.history], Listener())


async def reader_of(cluster: Cluster, partition: int = 0, topic: str = TOPICS.instances) -> Reader:
    return (await join(cluster)).reader(topic, partition)


@pytest.mark.parametrize("topic", [TOPICS.instances, TOPICS.history])
async def test_a_read_gives_records_in_order_and_moves_the_position(cluster: Cluster, topic: str) -> None:
    reader = await reader_of(cluster, topic=topic)
    await cluster.log.append([out(f"{number}", topic=topic) for number in range(5)])
    records = await within(reader.read(3))
    assert values(records) == ["0", "1", "2"]
    assert records[-1].offset < reader.position <= (await cluster.log.bounds(topic, 0))[1]
    assert values(await within(reader.read(100))) == ["3", "4"]


@pytest.mark.parametrize("topic", [TOPICS.instances, TOPICS.history])
async def test_a_read_waits_until_there_is_a_record(cluster: Cluster, topic: str) -> None:
    reader = await reader_of(cluster, topic=topic)
    read = asyncio.ensure_future(reader.read(10))
    await cluster.log.append([out("elsewhere", 1, topic=topic)])
    await settle()
    assert not read.done()
    await cluster.log.append([out("here", topic=topic)])
    assert values(await within(read)) == ["here"]


async def test_a_reader_sees_what_was_there_before_it(cluster: Cluster) -> None:
    await cluster.log.append([out("a"), out("b", volatile=True)])
    reader = await reader_of(cluster)
    assert values(await within(reader.read(10))) == ["a", "b"]


async def test_wake_ends_a_waiting_read_with_nothing(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    read = asyncio.ensure_future(reader.read(10))
    await settle()
    reader.wake()
    assert await within(read) == []


async def test_wake_is_remembered_for_the_next_read_and_for_that_one_only(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    reader.wake()
    reader.wake()
    assert await within(reader.read(10)) == []
    read = asyncio.ensure_future(reader.read(10))
    await settle()
    assert not read.done()
    await cluster.log.append([out("a")])
    assert values(await within(read)) == ["a"]


async def test_a_wake_loses_no_records_and_is_used_up_by_one_read(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    await cluster.log.append([out("a")])
    reader.wake()
    # What is there is what has reached this process: it may be given now or by the next read.
    assert values(await within(reader.read(10)) or await within(reader.read(10))) == ["a"]
    read = asyncio.ensure_future(reader.read(10))
    await settle()
    assert not read.done()
    read.cancel()


async def test_a_cancelled_read_loses_nothing(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    read = asyncio.ensure_future(reader.read(10))
    await settle()
    read.cancel()
    await cluster.log.append([out("a")])
    await settle()
    assert values(await within(reader.read(10))) == ["a"]


async def test_before_any_seek_the_position_is_the_start_then_what_was_committed(cluster: Cluster) -> None:
    await cluster.log.append([out(f"{number}") for number in range(4)])
    offsets = [record.offset for record in await everything(cluster.log)]
    await cluster.log.delete_before(TOPICS.instances, 0, offsets[1])
    reader = await reader_of(cluster)
    assert reader.position == offsets[1]
    await reader.commit(offsets[2], "note")
    await cluster.crash()
    reader = await reader_of(cluster)
    assert reader.position == offsets[2]
    assert values(await within(reader.read(10))) == ["2", "3"]


async def test_seek_goes_back_and_forth(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    await cluster.log.append([out(f"{number}", volatile=number % 2 == 1) for number in range(600)])
    first = await within(reader.read(1_000))
    assert len(first) == 600
    reader.seek(first[10].offset)
    assert reader.position == first[10].offset
    assert values(await within(reader.read(3))) == ["10", "11", "12"]
    reader.seek(first[598].offset)
    assert values(await within(reader.read(10))) == ["598", "599"]
    reader.seek(first[0].offset)
    again = await within(reader.read(1_000))
    while len(again) < 600:
        again += await within(reader.read(1_000))
    assert again == first


async def test_seek_during_a_waiting_read_is_obeyed(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    await cluster.log.append([out("a")])
    records = await within(reader.read(10))
    read = asyncio.ensure_future(reader.read(10))
    await settle()
    reader.seek(records[0].offset)
    assert values(await within(read)) == ["a"]


async def test_a_position_below_the_start_is_out_of_range_until_it_is_moved(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    await cluster.log.append([out("a"), out("b")])
    start = (await everything(cluster.log))[1].offset
    await cluster.log.delete_before(TOPICS.instances, 0, start)
    reader.seek(0)
    with pytest.raises(OffsetOutOfRange, match=f"begins at {start}"):
        await within(reader.read(1))
    reader.seek(start)
    assert values(await within(reader.read(1))) == ["b"]


async def test_deleting_under_a_waiting_reader_is_no_error(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    await cluster.log.append([out("a")])
    await within(reader.read(1))
    read = asyncio.ensure_future(reader.read(1))
    await cluster.log.delete_before(TOPICS.instances, 0, (await cluster.log.bounds(TOPICS.instances, 0))[1])
    await cluster.log.append([out("b")])
    assert values(await within(read)) == ["b"]


async def test_no_position_yet_is_offset_minus_one(cluster: Cluster) -> None:
    committed = await (await reader_of(cluster)).committed()
    assert (committed.offset, committed.metadata) == (-1, "")


async def test_a_committed_position_outlives_a_crash_with_its_metadata(cluster: Cluster) -> None:
    membership = await join(cluster)
    await membership.reader(TOPICS.instances, 1).commit(7, "ünder 4 KB")
    await membership.reader(TOPICS.history, 1).commit(9)
    await cluster.crash()
    membership = await join(cluster)
    instances = await membership.reader(TOPICS.instances, 1).committed()
    history = await membership.reader(TOPICS.history, 1).committed()
    assert (instances.offset, instances.metadata) == (7, "ünder 4 KB")
    assert (history.offset, history.metadata) == (9, "")
    assert (await membership.reader(TOPICS.instances, 0).committed()).offset == -1


async def test_positions_belong_to_their_group(cluster: Cluster) -> None:
    await (await reader_of(cluster)).commit(7)
    other = await cluster.log.join("other", [TOPICS.instances], Listener())
    assert (await other.reader(TOPICS.instances, 0).committed()).offset == -1


async def test_metadata_is_bounded(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    await reader.commit(1, "é" * 2_048)
    with pytest.raises(ValueError, match="4,098 bytes"):
        await reader.commit(2, "é" * 2_049)
    assert (await reader.committed()).offset == 1


async def test_a_lazy_commit_outlives_a_crash_once_it_had_to_be_stored(cluster: Cluster) -> None:
    membership = await join(cluster)
    await membership.reader(TOPICS.instances, 0).commit(3, "lazy", lazy=True)
    await cluster.lazy_is_stored(membership)
    await cluster.crash()
    committed = await (await reader_of(cluster)).committed()
    assert (committed.offset, committed.metadata) == (3, "lazy")


async def test_the_later_of_a_lazy_and_an_eager_commit_counts(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    await reader.commit(3, lazy=True)
    await reader.commit(4)
    await cluster.crash()
    reader = await reader_of(cluster)
    assert (await reader.committed()).offset == 4
    await reader.commit(6)
    await reader.commit(5, lazy=True)
    await cluster.reopen()
    assert (await (await reader_of(cluster)).committed()).offset == 5


async def test_a_revoked_reader_raises_for_ever(cluster: Cluster) -> None:
    membership = await join(cluster)
    reader = membership.reader(TOPICS.instances, 0)
    read = asyncio.ensure_future(reader.read(1))
    await settle()
    await membership.leave()
    with pytest.raises(NotAssigned):
        await within(read)
    for call in (reader.read(1), reader.commit(1), reader.committed()):
        with pytest.raises(NotAssigned, match=r"test.instances\[0\]"):
            await within(call)
    await join(cluster)
    with pytest.raises(NotAssigned):
        await within(reader.read(1))


async def test_a_reader_needs_an_assignment(cluster: Cluster) -> None:
    membership = await cluster.log.join("group", [TOPICS.instances], Listener())
    for topic, partition in ((TOPICS.instances, 99), (TOPICS.history, 0)):
        with pytest.raises(NotAssigned):
            membership.reader(topic, partition)


async def test_two_groups_read_independently(cluster: Cluster) -> None:
    first = await reader_of(cluster)
    other = (await cluster.log.join("other", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    await cluster.log.append([out(f"{number}") for number in range(1_000)])
    assert len(await within(first.read(2_000))) == 1_000
    seen: list[str] = []
    while len(seen) < 1_000:
        seen += values(await within(other.read(64)))
    assert seen == [f"{number}" for number in range(1_000)]


async def test_a_waiting_reader_sees_every_record_of_a_busy_partition(cluster: Cluster) -> None:
    reader = await reader_of(cluster)
    seen: list[str] = []

    async def follow() -> None:
        while len(seen) < 300:
            seen.extend(values(await reader.read(5)))

    following = asyncio.ensure_future(follow())
    await asyncio.gather(*(cluster.log.append([out(f"{n}", volatile=n % 3 == 0)]) for n in range(300)))
    await until(following.done)
    await following
    assert sorted(seen, key=int) == [f"{number}" for number in range(300)]
