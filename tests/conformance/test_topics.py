"""Topics, records, offsets: the log without groups or transactions."""

from __future__ import annotations

import asyncio

import pytest

from perdure.core.limits import RECORD_BYTES_MAX
from perdure.ports.errors import LogClosed, RecordTooLarge, TopicMismatch, TopicMissing
from perdure.ports.log import TopicSpec
from tests.conformance.clusters import PARTITIONS, TOPICS, Cluster
from tests.conformance.facts import Listener, everything, out, values


async def test_a_topic_has_the_partitions_it_was_created_with(cluster: Cluster) -> None:
    await cluster.log.create_topics([TopicSpec("extra", 5)])
    assert await cluster.log.partitions("extra") == 5
    assert [await cluster.log.bounds("extra", number) for number in range(5)] == [(0, 0)] * 5


async def test_creating_a_topic_again_changes_nothing(cluster: Cluster) -> None:
    await cluster.log.append([out("kept")])
    await cluster.create_topics()
    assert values(await everything(cluster.log)) == ["kept"]


async def test_another_partition_count_is_refused_and_nothing_is_created(cluster: Cluster) -> None:
    with pytest.raises(TopicMismatch, match=f"{PARTITIONS}"):
        await cluster.log.create_topics([TopicSpec("extra", 1), TopicSpec(TOPICS.instances, PARTITIONS + 1)])
    with pytest.raises(TopicMissing):
        await cluster.log.partitions("extra")


async def test_two_clients_may_create_the_same_topic_at_once(cluster: Cluster) -> None:
    other = cluster.client()
    spec = [TopicSpec("extra", 2)]
    await asyncio.gather(cluster.log.create_topics(spec), other.create_topics(spec))
    await cluster.log.append([out("a", topic="extra")])
    assert values(await everything(other, topic="extra")) == ["a"]


async def test_an_unknown_topic_is_named_with_what_to_do(cluster: Cluster) -> None:
    for call in (
        cluster.log.partitions("nowhere"),
        cluster.log.bounds("nowhere", 0),
        cluster.log.fetch("nowhere", 0, 0, 1),
        cluster.log.append([out("a", topic="nowhere")]),
        cluster.log.join("group", ["nowhere"], Listener()),
    ):
        with pytest.raises(TopicMissing, match=r"nowhere.*perdure bootstrap"):
            await call


async def test_partitions_are_numbered_from_zero(cluster: Cluster) -> None:
    for partition in (-1, PARTITIONS):
        with pytest.raises(TopicMissing, match=rf"\[{partition}\]"):
            await cluster.log.append([out("fits"), out("a", partition)])
        with pytest.raises(TopicMissing):
            await cluster.log.bounds(TOPICS.instances, partition)
    assert await everything(cluster.log) == []


async def test_a_record_is_read_as_it_was_written(cluster: Cluster) -> None:
    headers = (("trace", b"\x00\xff"), ("trace", b""), ("naïve", b"x" * 70_000))
    await cluster.log.append([out(b"\x00v", 1, headers=headers), out(b"", 1)])
    first, second = await cluster.log.fetch(TOPICS.instances, 1, 0, 10)
    assert (first.topic, first.partition, first.key, first.value) == (TOPICS.instances, 1, b"key", b"\x00v")
    assert first.headers == headers
    assert (second.value, second.headers) == (b"", ())
    assert first.timestamp_ms > 1_700_000_000_000


async def test_offsets_grow_with_each_record_of_a_partition(cluster: Cluster) -> None:
    for number in range(10):
        await cluster.log.append([out(f"{number}", 0), out(f"{number}", 1)])
    for partition in (0, 1):
        records = await everything(cluster.log, partition)
        assert values(records) == [f"{number}" for number in range(10)]
        offsets = [record.offset for record in records]
        assert offsets == sorted(set(offsets))


async def test_offsets_never_repeat_over_crashes_and_reopenings(cluster: Cluster) -> None:
    seen: list[int] = []
    for again in (cluster.crash, cluster.reopen, cluster.crash, cluster.crash):
        await cluster.log.append([out("volatile", volatile=True), out("durable"), out("volatile", volatile=True)])
        seen += [record.offset for record in await everything(cluster.log) if record.offset not in seen]
        handed_out = (await cluster.log.bounds(TOPICS.instances, 0))[1]
        await again()
        assert (await cluster.log.bounds(TOPICS.instances, 0))[1] >= handed_out
    assert seen == sorted(set(seen))
    assert len(seen) == 12


async def test_the_end_is_what_the_next_record_gets_or_exceeds(cluster: Cluster) -> None:
    for _ in range(3):
        end = (await cluster.log.bounds(TOPICS.instances, 0))[1]
        writer = await cluster.log.open_writer("w")
        assert await writer.commit([out("a")]) >= end
    assert (await cluster.log.bounds(TOPICS.instances, 0))[0] == 0


async def test_fetch_gives_at_most_what_was_asked_for_and_nothing_at_the_end(cluster: Cluster) -> None:
    await cluster.log.append([out(f"{number}") for number in range(5)])
    records = await cluster.log.fetch(TOPICS.instances, 0, 0, 2)
    assert values(records) == ["0", "1"]
    assert values(await cluster.log.fetch(TOPICS.instances, 0, records[-1].offset + 1, 100)) == ["2", "3", "4"]
    end = (await cluster.log.bounds(TOPICS.instances, 0))[1]
    assert await cluster.log.fetch(TOPICS.instances, 0, end, 100) == []
    assert await cluster.log.fetch(TOPICS.instances, 0, end + 50, 100) == []


@pytest.mark.parametrize("topic", [TOPICS.instances, TOPICS.history])
async def test_deleted_records_are_gone_and_fetch_begins_at_the_start(cluster: Cluster, topic: str) -> None:
    await cluster.log.append([out(f"{number}", topic=topic) for number in range(5)])
    keep = (await everything(cluster.log, topic=topic))[3].offset
    await cluster.log.delete_before(topic, 0, keep)
    for _ in range(2):
        assert (await cluster.log.bounds(topic, 0))[0] == keep
        assert values(await cluster.log.fetch(topic, 0, 0, 100)) == ["3", "4"]
        await cluster.crash()


async def test_deleting_below_the_start_has_no_effect_and_beyond_the_end_leaves_nothing(cluster: Cluster) -> None:
    await cluster.log.append([out("a"), out("b")])
    first, second = await everything(cluster.log)
    await cluster.log.delete_before(TOPICS.instances, 0, second.offset)
    await cluster.log.delete_before(TOPICS.instances, 0, first.offset)
    assert (await cluster.log.bounds(TOPICS.instances, 0))[0] == second.offset
    await cluster.log.delete_before(TOPICS.instances, 0, 1_000_000)
    start, end = await cluster.log.bounds(TOPICS.instances, 0)
    assert start == end
    assert await everything(cluster.log) == []
    await cluster.log.append([out("c")])
    assert values(await everything(cluster.log)) == ["c"]


async def test_a_cancelled_deletion_happens_whole_or_not_at_all(cluster: Cluster) -> None:
    await cluster.log.append([out(f"{number}") for number in range(5)])
    deletion = asyncio.ensure_future(cluster.log.delete_before(TOPICS.instances, 0, 3))
    await asyncio.sleep(0)
    deletion.cancel()
    await cluster.log.append([out("later")])
    start, _ = await cluster.log.bounds(TOPICS.instances, 0)
    assert start in (0, 3)
    assert (await everything(cluster.log))[0].offset == start


async def test_appended_records_outlive_a_crash(cluster: Cluster) -> None:
    await cluster.log.append([out("a"), out("b", 1, topic=TOPICS.history)])
    await cluster.crash()
    assert values(await everything(cluster.log)) == ["a"]
    assert values(await everything(cluster.log, 1, TOPICS.history)) == ["b"]


async def test_appends_keep_their_order_awaited_or_not(cluster: Cluster) -> None:
    for start in range(0, 40, 10):
        await cluster.log.append([out(f"{start}")])
        appends = [cluster.log.append([out(f"{n}", volatile=n % 3 == 0)]) for n in range(start + 1, start + 10)]
        await asyncio.gather(*appends)
    assert values(await everything(cluster.log)) == [f"{number}" for number in range(40)]


async def test_an_append_of_nothing_is_harmless(cluster: Cluster) -> None:
    await cluster.log.append([])
    assert await cluster.log.bounds(TOPICS.instances, 0) == (0, 0)


async def test_a_record_over_the_limit_is_named_by_its_place_and_nothing_is_written(cluster: Cluster) -> None:
    large = out(b"x" * RECORD_BYTES_MAX)
    with pytest.raises(RecordTooLarge, match="4,194,304") as caught:
        await cluster.log.append([out("a"), large])
    assert caught.value.index == 1
    assert await everything(cluster.log) == []
    await cluster.log.append([out(b"x" * (RECORD_BYTES_MAX - 3))])


async def test_a_closed_log_says_so_and_closes_twice(cluster: Cluster) -> None:
    log = cluster.client()
    writer = await log.open_writer("w")
    await log.close()
    await log.close()
    for call in (
        log.partitions(TOPICS.instances),
        log.bounds(TOPICS.instances, 0),
        log.fetch(TOPICS.instances, 0, 0, 1),
        log.append([out("a")]),
        log.create_topics([]),
        log.join("g", [TOPICS.instances], Listener()),
        log.open_writer("w"),
        log.delete_before(TOPICS.instances, 0, 1),
        writer.commit([out("a")]),
    ):
        with pytest.raises(LogClosed):
            await call
    assert await everything(cluster.log) == []
