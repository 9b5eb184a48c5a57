"""The timer store in memory may be written by several owners, as Cassandra's may."""

from __future__ import annotations

import pytest

from tests.conformance.clusters import MemoryCluster
from tests.conformance.late_timer_writes import *  # noqa: F403 - its tests are collected here, with the `cluster` below


@pytest.fixture
def cluster(memory: MemoryCluster) -> MemoryCluster:
    return memory
