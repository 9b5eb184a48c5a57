"""Every test here runs on real brokers."""

import pytest

from tests.on_brokers import cassandra_address, kafka_address, namespace

__all__ = ["cassandra_address", "kafka_address", "namespace"]


def pytest_collection_modifyitems(items):
    for item in items:
        if {"kafka_address", "cassandra_address"} & set(item.fixturenames):
            item.add_marker(pytest.mark.brokers)
