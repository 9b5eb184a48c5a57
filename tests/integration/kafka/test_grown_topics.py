"""Topics of others may grow while somebody reads them."""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from perdure.adapters.kafka import KafkaLog, KafkaSettings
from perdure.ports.log import Outgoing, TopicSpec


async def test_a_partition_that_was_added_is_found_by_who_knew_the_topic_before(
    kafka_address: str, namespace: str
) -> None:
    settings = KafkaSettings((kafka_address,), replication=1, insync_min=1)
    log, topic = KafkaLog(settings), f"{namespace}.growing"
    await log.create_topics([TopicSpec(topic, 1)])
    assert await log.partitions(topic) == 1
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(3)})
    await admin.close()
    assert await log.bounds(topic, 2) == (0, 0)
    await log.append([Outgoing(topic, 2, b"k", b"v")])
    assert [record.value for record in await log.fetch(topic, 2, 0, 10)] == [b"v"]
    await log.close()
