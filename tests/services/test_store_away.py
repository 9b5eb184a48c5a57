"""With the store away a role stays ready while work goes on, and tells of it; it is not ready once it stops reading."""

import asyncio

import httpx
import pytest

from perdure.ports.errors import StoreUnavailable
from tests.services.worlds import SECONDS, asked


async def until_tells(process, text):
    async with asyncio.timeout(SECONDS):
        while text not in (await asked(process.probes.url, "/readyz")).text:
            await asyncio.sleep(0.01)


async def until_in_metrics(process, name):
    """Above 0."""
    async with asyncio.timeout(SECONDS):
        while True:
            lines = (await asked(process.probes.url, "/metrics")).text.splitlines()
            values = [float(line.split()[-1]) for line in lines if line.startswith(name)]
            if sum(values) > 0:
                return
            await asyncio.sleep(0.01)


@pytest.fixture
def store(world):
    """The history store of the world: `away` it takes nothing."""
    inner = world.ports.store

    class Store:
        away = False

    made, append = Store(), inner.append

    async def given(*turns):
        if made.away:
            raise StoreUnavailable("Cassandra at 127.0.0.1:9042 cannot be reached")
        await append(*turns)

    inner.append = given
    return made


async def start(world, instance):
    async with httpx.AsyncClient(base_url=world.told["gateway"]["gateway"], timeout=SECONDS) as http:
        await http.post("/v1/workflows/doubled/start", params={"instance_id": instance}, json=21)
        return (await http.get(f"/v1/instances/{instance}/wait")).json()["serializedOutput"]


async def test_an_orchestrator_goes_on_and_is_ready_until_it_has_to_wait_for_the_store(world, store):
    for role in ("activity-worker", "timer", "gateway"):
        await world.up(role)
    orchestrator = await world.up("orchestrator")
    store.away = True
    assert await start(world, "a") == "42"
    await until_in_metrics(orchestrator, "perdure_store_failures_total")
    await until_in_metrics(orchestrator, "perdure_store_lag_bytes")
    assert (await asked(orchestrator.probes.url, "/readyz")).status_code == 200
    for owner in orchestrator.role.orchestrator.owners.values():
        owner.tenure.behind._settings.store_lag_bytes_max = 0  # as if 64 MiB waited
    waits = asyncio.ensure_future(start(world, "b"))
    await until_tells(orchestrator, "read nothing more until the store takes what waits for it")
    store.away = False
    await until_tells(orchestrator, "ready\n")
    assert await waits == "42"


async def test_a_timer_that_waits_for_its_store_is_not_ready(world):
    timer = await world.up("timer")
    shard = timer.role.timers.shards[1]
    assert (await asked(timer.probes.url, "/readyz")).status_code == 200
    waiting = dict.fromkeys(range(shard._settings.unstored_max + 1))
    shard._book.far.changes, kept = waiting, shard._book.far.changes
    unready = await asked(timer.probes.url, "/readyz")
    shard._book.far.changes = kept
    assert (unready.status_code, unready.text) == (
        503, "shards 1 read nothing more until the store takes what waits for it\n",
    )  # fmt: skip
