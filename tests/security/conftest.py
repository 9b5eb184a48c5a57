"""Brokers that ask everybody who they are, started once a run and shared by all test workers."""

from __future__ import annotations

import os
import threading

import pytest

from tests.brokers import acquire
from tests.integration.services.test_separate_processes import wait_until
from tests.on_brokers import namespace
from tests.security.secured_cluster import SecuredBrokers, SecuredCluster

__all__ = ["namespace"]


def pytest_collection_modifyitems(items):
    for item in items:
        if "brokers" in item.fixturenames:
            item.add_marker(pytest.mark.brokers)


@pytest.fixture(scope="session")
def brokers():
    leases = {}

    def take(name):
        leases[name] = acquire(name)

    threads = [threading.Thread(target=take, args=(name,)) for name in ("secured-kafka", "secured-cassandra")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(leases) == len(threads), "a secured broker did not start: its log is in .brokers/run"
    made = SecuredBrokers()
    wait_until(made.let_admins_in, "both brokers know their super users")
    yield made
    for lease in leases.values():
        lease.release()


@pytest.fixture
def cluster(brokers, namespace, tmp_path):
    """A namespace and a keyspace of its own, nothing made and no right given yet."""
    made = SecuredCluster(brokers, namespace, tmp_path / "ledger")
    yield made
    made.close()


@pytest.fixture
def environment(monkeypatch):
    """Of this process, for what is tried in it."""

    def put(cluster, user, *, cassandra="", changed=None):
        for name in [each for each in os.environ if each.startswith("PERDURE_")]:
            monkeypatch.delenv(name)
        wanted = {**cluster.environ, **cluster.as_user(user)}
        if cassandra:
            wanted["PERDURE_CASSANDRA_USERNAME"] = cassandra
            wanted["PERDURE_CASSANDRA_PASSWORD"] = cluster.brokers.cassandra["passwords"][cassandra]
        for name, value in {**wanted, **(changed or {})}.items():
            if name.startswith("PERDURE_") and value:
                monkeypatch.setenv(name, value)

    return put
