"""The lag of a group, asked for as KEDA does it: partitions of the topic, positions of the group, ends of the partitions."""

from __future__ import annotations

from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from perdure.adapters.kafka import KafkaSettings


async def lags_seen(cluster, user, read):
    """By group, of those that read this topic; None where the user is told of no position."""
    options = KafkaSettings((cluster.brokers.kafka_address("SASLTLS"),), cluster.security(user), user).client_options()
    async with AsyncExitStack() as stack:
        admin, consumer = AIOKafkaAdminClient(**options), AIOKafkaConsumer(**options, group_id=None)
        for client, end in ((admin, admin.close), (consumer, consumer.stop)):
            await client.start()
            stack.push_async_callback(end)
        return {group: await _lag(admin, consumer, group, topic) for group, topic in read.items()}


async def _lag(admin, consumer, group, topic):
    [described] = await admin.describe_topics([topic])
    assert described["error_code"] == 0, described
    places = [TopicPartition(topic, each["partition"]) for each in described["partitions"]]
    stored = await admin.list_consumer_group_offsets(group, partitions=places)
    if not stored:
        return None  # aiokafka passes a refusal of the group over
    ends = await consumer.end_offsets(places)
    return sum(ends[place] - max(0, stored[place].offset) for place in places)
