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


NOT_KAFKAS = {
    "test_a_woken_read_gives_the_records_that_are_there": "what is there is what this process has already received",
    "test_a_lazy_commit_outlives_a_crash_once_a_later_write_was_acknowledged": "lazy positions are written once a second",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        reason = NOT_KAFKAS.get(item.name)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"another adapter's meaning of the sentence: {reason}"))
