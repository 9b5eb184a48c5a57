from __future__ import annotations

import pytest

from tests.simulation.servers.clusters import SimulatedCluster


@pytest.fixture
async def cluster():
    made = SimulatedCluster()
    await made.open()
    await made.create_topics()
    yield made
    await made.close()
