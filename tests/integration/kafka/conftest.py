from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.kafka.clusters import KafkaCluster


@pytest.fixture
async def cluster(kafka_address: str, namespace: str) -> AsyncIterator[KafkaCluster]:
    """Real Kafka with the topics of the conformance suite."""
    made = KafkaCluster(kafka_address, namespace)
    await made.open()
    await made.create_topics()
    yield made
    await made.close()
