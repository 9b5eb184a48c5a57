"""The machine of tests/conformance/test_store_machine.py: memory and Cassandra give one answer."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from perdure.adapters.cassandra import Driver
from tests.conformance.test_store_machine import StoreMachine
from tests.integration.cassandra.clusters import CassandraCluster

BOUNDED = settings(
    max_examples=6, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


class CassandraMachine(StoreMachine):
    """Cassandra in the place of SQLite."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self.run(self.clusters.pop().close())
        self.clusters.append(CassandraCluster(driver, f"m{os.urandom(6).hex()}"))
        self.run(self.clusters[-1].open())
        self.run(self.clusters[-1].create_topics())

    @rule(before_us=st.integers(0, 20))
    def forget_tombstones(self, before_us) -> None:
        """What was forgotten and is stored again comes back in memory, and stays forgotten here: no owner does it."""
        super().forget_tombstones(before_us)
        self.stored = None


def test_memory_and_cassandra_read_alike(driver: Driver) -> None:
    run_state_machine_as_test(lambda: CassandraMachine(driver), settings=BOUNDED)
