"""The machine of tests/conformance/test_store_machine.py: memory and Cassandra give one answer."""

from __future__ import annotations

import os

from perdure.adapters.cassandra import Driver
from tests.conformance.clusters import MemoryCluster
from tests.conformance.test_store_machine import run_on
from tests.integration.cassandra.clusters import CassandraCluster


def test_memory_and_cassandra_read_alike(driver: Driver) -> None:
    run_on(lambda: [MemoryCluster(), CassandraCluster(driver, f"m{os.urandom(6).hex()}")], examples=6)
