"""`describe` tells who owns an instance's partition, and how far that owner is behind."""

import httpx
import pytest

from perdure.core.events import BatchCommitted
from perdure.ports.errors import LogUnavailable
from perdure.roles.orchestrator.inspection import Standing, standing
from perdure.roles.orchestrator.position import Position
from tests.services.worlds import SECONDS


class Log:
    def __init__(self, end):
        self.end = end

    async def bounds(self, topic, partition):
        if isinstance(self.end, Exception):
            raise self.end
        return 0, self.end


@pytest.mark.parametrize(
    ("end", "undecided", "lag"), [(10, [], 0), (17, [], 7), (17, [3, 4], 9), (LogUnavailable("away"), [3], -1)]
)
async def test_the_lag_counts_what_is_not_decided_read_or_not(end, undecided, lag):
    position = Position(BatchCommitted(0, 10, undecided))
    found = await standing(Log(end), "instances", position, Standing(1, "owner-1", store_lag=5))
    assert found == Standing(1, "owner-1", lag=lag, store_lag=5)


async def test_a_description_tells_its_owner_and_lags_and_other_answers_do_not(world):
    orchestrator = await world.up("orchestrator")
    await world.up("gateway")
    async with httpx.AsyncClient(base_url=world.told["gateway"]["gateway"], timeout=SECONDS) as http:
        await http.post("/v1/workflows/doubled/start", params={"instance_id": "d1"}, json=21)
        told = (await http.get("/v1/instances/d1/describe")).json()
        plain = (await http.get("/v1/instances/d1")).json()
    assert told["owner"] == orchestrator.role.owner
    assert told["lag"] in (0, 1)  # a commit's own marker may stand at the end
    assert told["storeLag"] >= 0
    assert [plain[name] for name in ("owner", "lag", "storeLag", "detail")] == [None] * 4
