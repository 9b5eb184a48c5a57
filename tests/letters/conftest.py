import pytest

from tests.conformance.clusters import CLUSTERS, make_cluster
from tests.letters.world import World


@pytest.fixture(params=CLUSTERS)
async def w(request, tmp_path):
    """Each log in turn."""
    cluster = make_cluster(request.param, tmp_path)
    await cluster.open()
    world = World(cluster)
    await world.open()
    yield world
    await cluster.close()


@pytest.fixture
async def memory(tmp_path):
    """The log whose writes can be made to fail."""
    cluster = make_cluster("memory", tmp_path)
    await cluster.open()
    world = World(cluster)
    await world.open()
    yield world
    await cluster.close()
