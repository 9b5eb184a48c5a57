"""What bootstrap records, and what each start compares."""

import json

import pytest

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.adapters.system import SystemClock
from perdure.assembly import topic_specs
from perdure.codec.versions import newest
from perdure.core.names import Topics
from perdure.ports.errors import PortError, TopicMismatch, TopicMissing
from perdure.ports.log import Outgoing, TopicSpec
from perdure.services.layout import Layout, layout_topic, read_layout, record_layout, verify_layout

TOPICS = Topics("shop")


@pytest.fixture
async def log():
    opened = MemoryLog(MemoryBroker(SystemClock()))
    await opened.create_topics([*topic_specs(TOPICS, 4), TopicSpec(layout_topic(TOPICS), 1)])
    yield opened
    await opened.close()


async def test_what_is_recorded_is_read_and_fits(log):
    assert await read_layout(log, TOPICS) is None
    await record_layout(log, TOPICS, Layout(4))
    await record_layout(log, TOPICS, Layout(4))
    assert await verify_layout(log, TOPICS) == Layout(4)
    assert (await log.bounds(layout_topic(TOPICS), 0))[1] == 1  # once


async def test_another_count_is_neither_recorded_nor_served(log):
    await record_layout(log, TOPICS, Layout(5))
    with pytest.raises(TopicMismatch, match="PERDURE_PARTITIONS=5"):
        await record_layout(log, TOPICS, Layout(4))
    with pytest.raises(TopicMismatch, match="has 4 partitions, 5 were recorded"):
        await verify_layout(log, TOPICS)


async def test_a_namespace_without_a_record_is_not_served(log):
    with pytest.raises(TopicMissing, match="perdure bootstrap"):
        await verify_layout(log, TOPICS)
    with pytest.raises(TopicMissing):
        await verify_layout(log, Topics("other"))


async def test_a_queue_without_its_topic_is_not_served(log):
    await record_layout(log, TOPICS, Layout(4))
    with pytest.raises(TopicMissing, match=r"shop\.activities\.gpu"):
        await verify_layout(log, TOPICS, "gpu")


@pytest.mark.parametrize("value", [b"text", b"[]", b'{"partitions": 4}'])
async def test_a_record_that_is_no_layout_is_told(log, value):
    await log.append([Outgoing(layout_topic(TOPICS), 0, b"", value)])
    with pytest.raises(PortError, match="no layout"):
        await verify_layout(log, TOPICS)


async def test_a_later_form_is_not_served(log):
    await log.append([Outgoing(layout_topic(TOPICS), 0, b"", json.dumps({"partitions": 4, "form": 3}).encode())])
    with pytest.raises(TopicMismatch, match="form 3"):
        await verify_layout(log, TOPICS)


async def record(log, **said):
    await log.append([Outgoing(layout_topic(TOPICS), 0, b"shop", json.dumps({"partitions": 4, **said}).encode())])


async def test_a_namespace_that_says_nothing_is_at_the_first_write_version(log):
    await record(log, form=1)
    assert await verify_layout(log, TOPICS) == Layout(4, writes=1)


async def test_a_write_version_that_is_not_known_here_refuses_the_start_and_names_the_release_that_is_needed(log):
    await record(log, form=2, writes=newest() + 1, release="7.8.9")
    with pytest.raises(
        TopicMismatch, match=rf"version {newest() + 1}, this release .* reads up to {newest()}: run release 7.8.9"
    ):
        await verify_layout(log, TOPICS)


async def test_the_highest_recorded_write_version_counts_whoever_came_last(log):
    await record_layout(log, TOPICS, Layout(4).raised())
    await record(log, form=1)  # an upgrade of an earlier release that was slow, or its bootstrap
    found = await read_layout(log, TOPICS)
    assert (found.writes, found.form) == (newest(), 2)


async def test_a_release_from_before_write_versions_refuses_a_namespace_above_the_first(log):
    """It compares the form with its own, and its bootstrap the record with what it would write: as it was then."""
    await record_layout(log, TOPICS, Layout(4).raised())
    (written,) = await log.fetch(layout_topic(TOPICS), 0, 0, 10)
    said = json.loads(written.value)
    assert (said["partitions"], said["form"], said["writes"]) == (4, 2, newest())


async def test_a_second_bootstrap_leaves_the_write_version_alone(log):
    await record_layout(log, TOPICS, Layout(4))
    await record_layout(log, TOPICS, Layout(4).raised())
    assert (await read_layout(log, TOPICS)).writes == 1  # that is for `perdure upgrade` alone
