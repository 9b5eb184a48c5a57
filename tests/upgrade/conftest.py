"""Real brokers, and the releases to upgrade from."""

from __future__ import annotations

import pytest

from tests.on_brokers import cassandra_address, kafka_address, namespace
from tests.upgrade.release import Release

__all__ = ["cassandra_address", "kafka_address", "namespace"]


@pytest.fixture(scope="session")
def before(tmp_path_factory):
    """The last release that wrote version 1."""
    return Release.kept("writes-1", tmp_path_factory.mktemp("before") / "site")
