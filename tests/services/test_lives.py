"""A role that stands still, or a part of which has ended, begins again on new connections in the same process."""

import asyncio

import httpx
import pytest

from perdure.cli.exits import Exit, Unusable, exit_of
from perdure.ports.errors import LogUnavailable, TopicMissing
from perdure.services import process as processes
from perdure.services.settings import ServiceSettings
from tests.services.hanging import HangingLog
from tests.services.worlds import SECONDS, asked

STALL = 1.0


class Hanging:
    """`open_ports` of a process whose first connections, or all of them, can be made to hang."""

    def __init__(self, world, *, always=False):
        self.world = world
        self.always = always
        self.logs = []
        self.away = []

    async def __call__(self, settings, role, owner):
        if self.away:
            raise self.away.pop()
        ports = await self.world.open_ports(settings, role, owner)
        ports.log = HangingLog(ports.log)
        self.logs.append(ports.log)
        if self.always and len(self.logs) > 1:
            ports.log.hang()
        return ports


async def until(fact, what):
    async with asyncio.timeout(SECONDS):
        while not fact():
            await asyncio.sleep(0.01)
    assert fact(), what


async def completed(world, number, instance):
    async with httpx.AsyncClient(base_url=world.told["gateway"]["gateway"], timeout=SECONDS) as http:
        await http.post("/v1/workflows/doubled/start", params={"instance_id": instance}, json=number)
        return (await http.get(f"/v1/instances/{instance}/wait")).json()["serializedOutput"]


@pytest.fixture
async def four(world):
    """All roles; `four(role)` is the process of one, whose connections can hang."""
    world.settings = ServiceSettings(health_port=0, stall_seconds=STALL)

    async def begin(role, **options):
        ways = Hanging(world, **options)
        for other in ("orchestrator", "activity-worker", "timer", "gateway"):
            if other != role:
                await world.up(other)
        made = await world.up(role, open_ports=ways)
        made.ways = ways
        return made

    return begin


@pytest.mark.parametrize("role", ["orchestrator", "activity-worker", "timer"])
async def test_a_role_whose_reader_hangs_begins_again_and_everything_goes_on(world, four, role):
    process = await four(role)
    assert await completed(world, 21, "before") == "42"
    owner = process.role.owner
    process.ways.logs[0].hang()
    if role == "timer":
        await world.write_to_timers()
    else:
        assert await completed(world, 4, "after") == "8"
    await until(lambda: process.role.owner != owner, "another life")
    assert process.restarts.count >= 1
    async with asyncio.timeout(SECONDS):
        while (await asked(process.probes.url, "/readyz")).text != "ready\n":
            await asyncio.sleep(0.01)
    assert f"perdure_restarts_total {process.restarts.count}" in (await asked(process.probes.url, "/metrics")).text
    assert await completed(world, 5, "again") == "10"


async def test_a_gateway_whose_answers_hang_begins_again(world, four):
    process = await four("gateway")
    assert await completed(world, 21, "before") == "42"
    process.ways.logs[0].hang()
    first = process.role
    async with httpx.AsyncClient(base_url=world.told["gateway"]["gateway"], timeout=SECONDS) as http:
        lost = await http.post("/v1/workflows/doubled/start", params={"instance_id": "lost"}, json=1)
    assert lost.status_code in (500, 503)  # its transport was closed under it, with an answer
    await until(lambda: process.role is not first, "another life")
    world.told["gateway"] = {"gateway": process.role.server.url}  # a port of its own choice, in tests only
    assert await completed(world, 1, "lost") == "2"


async def test_a_role_that_stands_still_again_and_again_ends_the_process_with_4(world, four, monkeypatch):
    monkeypatch.setattr(processes, "RESTARTS_MAX", 3)
    process = await four("activity-worker", always=True)
    process.ways.logs[0].hang()
    async with httpx.AsyncClient(base_url=world.told["gateway"]["gateway"], timeout=SECONDS) as http:
        await http.post("/v1/workflows/doubled/start", params={"instance_id": "stuck"}, json=1)
    with pytest.raises(
        Unusable, match=r"stood still more than 3 times within 10 minutes.*activities\[\d\] stands"
    ) as caught:
        await asyncio.wait_for(asyncio.shield(process.ending), SECONDS)
    assert exit_of(caught.value) is Exit.UNREACHABLE
    assert len(process.ways.logs) == 4


async def test_brokers_that_are_away_when_it_begins_again_are_waited_for(world, four, monkeypatch):
    monkeypatch.setattr(processes, "AGAIN_SECONDS", 0.01)
    process = await four("activity-worker")
    process.ways.away = [LogUnavailable("Kafka at nowhere:1 cannot be used")] * 5
    first = process.role
    first.failed(LogUnavailable("a part of it has ended"))
    await until(lambda: process.role is not first, "another life")
    assert process.ways.away == []
    assert await completed(world, 21, "after") == "42"


async def test_told_to_stop_while_it_waits_for_brokers_it_ends_quietly(world, four):
    process = await four("timer")
    process.ways.away = [LogUnavailable("Kafka at nowhere:1 cannot be used")] * 1_000
    process.role.failed(LogUnavailable("a part of it has ended"))
    async with asyncio.timeout(SECONDS):
        while "nowhere:1" not in (await asked(process.probes.url, "/readyz")).text:
            await asyncio.sleep(0.01)
    process.stop()
    await asyncio.wait_for(process.ending, SECONDS)


@pytest.mark.parametrize("role", ["activity-worker", "timer"])
async def test_a_part_that_ends_is_told_by_what_ended_it(world, role):
    """What the ports raise may be over with other ones; a defect ends the process, by name."""
    process = await world.up(role)
    parts = process.role.worker.feeds if role == "activity-worker" else process.role.timers.shards
    part = parts[0]
    first = process.role

    async def dies(error):
        raise error

    def kill(error):
        task = asyncio.ensure_future(dies(error))
        task.add_done_callback(part._task_ended if role == "activity-worker" else part._main_ended)

    kill(LogUnavailable("its coordinator is lost"))
    await until(lambda: process.role is not first, "another life")
    kill_again = process.role.worker.feeds if role == "activity-worker" else process.role.timers.shards
    part = kill_again[0]
    kill(ZeroDivisionError("a defect"))
    with pytest.raises(Unusable, match="ZeroDivisionError: a defect"):
        await asyncio.wait_for(asyncio.shield(process.ending), SECONDS)


@pytest.mark.parametrize(
    ("error", "begins_again"),
    [(LogUnavailable("its brokers"), True), (TopicMissing("deleted"), False), (RuntimeError("no resume point"), False)],
    ids=["away", "deleted", "defect"],
)
async def test_a_partition_that_cannot_be_served_ends_the_process_unless_the_ports_are_the_cause(
    world, error, begins_again
):
    process = await world.up("orchestrator")
    first = process.role
    first.orchestrator.failure = error
    first.orchestrator._on_failure(f"partition 0 cannot be served: {error}")
    if begins_again:
        await until(lambda: process.role is not first, "another life")
    else:
        with pytest.raises(Unusable, match=str(error)):
            await asyncio.wait_for(asyncio.shield(process.ending), SECONDS)
