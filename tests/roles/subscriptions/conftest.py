import pytest

from tests.roles.subscriptions.world import World


@pytest.fixture
async def world():
    made = await World().open()
    yield made
    await made.close()
