"""Fixtures of every test on real brokers, which are started once a run and shared by all test workers.

A conftest imports those that its tests use.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest

from tests.brokers import acquire

__all__ = ["cassandra_address", "kafka_address", "namespace"]

NUMBERS = count()


@pytest.fixture(scope="session")
def kafka_address() -> Iterator[str]:
    """host:port of a Kafka that ends with the last worker that uses it."""
    lease = acquire("kafka")
    yield lease.address
    lease.release()


@pytest.fixture(scope="session")
def cassandra_address() -> Iterator[str]:
    """host:port of a Cassandra that ends with the last worker that uses it."""
    lease = acquire("cassandra")
    yield lease.address
    lease.release()


@pytest.fixture
def namespace() -> str:
    """Fresh for each test, also across workers and runs on brokers that stay."""
    return f"t{os.getpid()}x{os.urandom(3).hex()}x{next(NUMBERS)}"
