from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.clusters import CLUSTERS, Cluster, MemoryCluster, SqliteCluster, make_cluster


@pytest.fixture(params=CLUSTERS)
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Each adapter in turn, with the topics of the namespace `test`."""
    made = make_cluster(request.param, tmp_path)
    await made.open()
    await made.create_topics()
    yield made
    await made.close()


@pytest.fixture
async def memory() -> AsyncIterator[MemoryCluster]:
    made = MemoryCluster()
    await made.open()
    await made.create_topics()
    yield made
    await made.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteCluster]:
    made = SqliteCluster(tmp_path)
    await made.open()
    await made.create_topics()
    yield made
    await made.close()
