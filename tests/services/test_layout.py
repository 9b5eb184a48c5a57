"""What bootstrap records, and what each start compares."""

import json

import pytest

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.adapters.system import SystemClock
from perdure.assembly import topic_specs
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
    await log.append([Outgoing(layout_topic(TOPICS), 0, b"", json.dumps({"partitions": 4, "form": 2}).encode())])
    with pytest.raises(TopicMismatch, match="form 2"):
        await verify_layout(log, TOPICS)
