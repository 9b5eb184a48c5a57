from __future__ import annotations

import pytest

from tests.integration.services.processes import Cluster
from tests.telemetry.receiver import Receiver


@pytest.fixture
def receiver():
    with Receiver() as listening:
        yield listening


@pytest.fixture
def cluster(kafka_address, cassandra_address, namespace, tmp_path):
    """Bootstrapped: a namespace and a keyspace of its own."""
    made = Cluster(kafka_address, cassandra_address, namespace, tmp_path / "ledger")
    try:
        done = made.perdure("bootstrap", "--development")
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        made.close()
