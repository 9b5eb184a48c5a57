from __future__ import annotations

import pytest

from tests.integration.services.processes import Cluster


@pytest.fixture
def cluster(kafka_address, cassandra_address, namespace, tmp_path):
    """Bootstrapped: a namespace and a keyspace of its own."""
    made = Cluster(kafka_address, cassandra_address, namespace, tmp_path / "ledger")
    yield made
    made.close()


@pytest.fixture
def bootstrapped(cluster):
    done = cluster.perdure("bootstrap", "--development")
    assert done.returncode == 0, done.stderr
    return cluster
