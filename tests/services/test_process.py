"""A service's process over ports in memory: up, told, down. Real brokers are in tests/integration/services."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from perdure.assembly import cassandra_settings, kafka_settings, topic_specs
from perdure.cli.exits import Conflict, Exit, Unusable, exit_of
from perdure.core.names import Topics
from perdure.ports.errors import PortError, StoreUnavailable
from perdure.ports.log import TopicSpec
from perdure.services import process as processes
from perdure.services.layout import Layout, record_layout
from perdure.services.settings import ServiceSettings
from tests.services.worlds import SECONDS, asked, held, running

HERE = Path(__file__).parent


async def test_four_processes_run_a_workflow_and_tell_of_it(world):
    for role in ("orchestrator", "activity-worker", "timer", "gateway"):
        await world.up(role)
    async with httpx.AsyncClient(base_url=world.told["gateway"]["gateway"], timeout=SECONDS) as http:
        started = await http.post("/v1/workflows/doubled/start", params={"instance_id": "d1"}, json=21)
        assert started.status_code == 202
        assert (await http.get("/v1/instances/d1/wait")).json()["serializedOutput"] == "42"
    for role, told in world.told.items():
        assert (await asked(told["probes"], "/healthz")).status_code == 200
        assert (await asked(told["probes"], "/readyz")).text == "ready\n"
        assert f'perdure_ready{{service="{role}"}} 1' in (await asked(told["probes"], "/metrics")).text
    text = (await asked(world.told["orchestrator"]["probes"], "/metrics")).text
    assert "perdure_partitions 2" in text
    assert 'perdure_lag_records{partition="0",topic="perdure.instances"} 0' in text
    text = (await asked(world.told["activity-worker"]["probes"], "/metrics")).text
    assert "perdure_activities_completed_total 1" in text


async def test_probes_answer_before_it_is_ready_and_tell_why_it_is_not(world):
    opened = asyncio.Event()

    async def open_later(settings, role, owner):
        await opened.wait()
        return await world.open_ports(settings, role, owner)

    timer = world.process("timer", open_ports=open_later)
    async with asyncio.timeout(SECONDS):
        while not timer.probes.url:
            await asyncio.sleep(0)
    assert (await asked(timer.probes.url, "/healthz")).status_code == 200
    unready = await asked(timer.probes.url, "/readyz")
    assert (unready.status_code, unready.text) == (503, "starting\n")
    assert 'perdure_ready{service="timer"} 0' in (await asked(timer.probes.url, "/metrics")).text
    assert (await asked(timer.probes.url, "/other")).status_code == 404
    opened.set()
    await asyncio.wait_for(timer.ready.wait(), SECONDS)


async def test_a_gateway_whose_store_is_away_is_not_ready(world):
    gateway = await world.up("gateway")

    async def away(*_):
        raise StoreUnavailable("Cassandra at 127.0.0.1:9042 cannot be reached")

    gateway.role.ports.store.stored_to = away
    unready = await asked(gateway.probes.url, "/readyz")
    assert (unready.status_code, "Cassandra at" in unready.text) == (503, True)


async def test_told_to_stop_it_lets_a_running_activity_end(world):
    for role in ("orchestrator", "timer", "gateway"):
        await world.up(role)
    worker = await world.up("activity-worker")
    async with httpx.AsyncClient(base_url=world.told["gateway"]["gateway"], timeout=SECONDS) as http:
        await http.post("/v1/workflows/holding/start", params={"instance_id": "h1"}, json=1)
        assert await asyncio.to_thread(running.wait, SECONDS)
        worker.stop()
        async with asyncio.timeout(SECONDS):
            while (await asked(worker.probes.url, "/readyz")).text != "draining\n":
                await asyncio.sleep(0)
        held.set()
        await asyncio.wait_for(worker.ending, SECONDS)
        assert (await http.get("/v1/instances/h1/wait")).json()["serializedOutput"] == "1"


async def test_a_drain_that_does_not_end_is_cut_off_and_says_so(world):
    world.settings = ServiceSettings(health_port=0, drain_seconds=0.2)
    begun = []
    timer = await world.up("timer", on_draining=lambda: begun.append(True))
    timer.role.stop = asyncio.Event().wait
    timer.stop()
    with pytest.raises(TimeoutError, match=r"not drained within 0\.2 s") as caught:
        await asyncio.wait_for(asyncio.shield(timer.ending), SECONDS)
    assert exit_of(caught.value) is Exit.TIMEOUT
    assert begun == [True]


async def test_a_role_that_cannot_go_on_drains_and_ends_the_process_with_4(world):
    orchestrator = await world.up("orchestrator")
    orchestrator.role.fail("partition 1 cannot be served")
    with pytest.raises(Unusable, match="partition 1 cannot be served: the process ends") as caught:
        await asyncio.wait_for(asyncio.shield(orchestrator.ending), SECONDS)
    assert exit_of(caught.value) is Exit.UNREACHABLE


async def test_one_that_never_becomes_ready_ends_in_time_and_one_told_to_stop_meanwhile_ends_quietly(
    world, monkeypatch
):
    async def never(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(processes, "verify_layout", never)
    timer = world.process("timer")
    timer.stop()
    await asyncio.wait_for(timer.ending, SECONDS)
    world.settings = ServiceSettings(health_port=0, start_seconds=0.1)
    with pytest.raises(Unusable, match="PERDURE_START_SECONDS"):
        await world.up("timer")


async def test_a_namespace_that_was_not_bootstrapped_or_is_of_another_count_is_not_served(world):
    world.settings = ServiceSettings(health_port=0, namespace="empty")
    with pytest.raises(Unusable, match="perdure bootstrap"):
        await world.up("timer")
    await world.ports.log.create_topics([*topic_specs(Topics("empty"), 3), TopicSpec("empty.layout", 1)])
    await record_layout(world.ports.log, Topics("empty"), Layout(2))
    with pytest.raises(Unusable, match="has 3 partitions, 2 were recorded"):
        await world.up("timer")


async def test_a_probe_port_in_use_is_named(world):
    timer = await world.up("timer")
    world.settings = ServiceSettings(health_port=int(timer.probes.url.rpartition(":")[2]))
    with pytest.raises(Conflict, match="PERDURE_HEALTH_PORT"):
        await world.up("timer")


async def test_two_lives_of_an_owner_have_two_names(world):
    first, second = await world.up("orchestrator"), await world.up("orchestrator")
    assert first.role.owner != second.role.owner


def perdure(*arguments, **environ):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    return subprocess.run(
        [sys.executable, "-m", "perdure", *arguments], cwd=HERE, env={**kept, **environ}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_the_hash_seed_is_fixed_before_user_code_is_imported(tmp_path):
    code = "import os, sys\nraise SystemExit(f'seed {os.environ[\"PYTHONHASHSEED\"]} {sys.flags.hash_randomization}')\n"
    (tmp_path / "seeded.py").write_text(code)
    for seed in ("1", "random"):
        told = perdure("run", "orchestrator", "--app", "seeded:app", PYTHONPATH=str(tmp_path), PYTHONHASHSEED=seed)
        assert told.returncode == 2
        assert "seed 0 0" in told.stderr


def test_what_is_wrong_on_the_command_line_or_in_the_environment_is_one_line_and_2(environment):
    environment.delenv("PERDURE_STORE")
    for arguments, text in (
        (["run", "orchestrator"], "--app module:app"),
        (["run", "activity-worker", "--app", "nowhere:app"], "PERDURE_STORE is not set"),
        (["run", "timer", "--queue", "gpu"], "--queue is for the activity-worker"),
        (["run", "clerk"], "clerk"),
        (["bootstrap", "--check", "--print"], "take one"),
    ):
        told = perdure(*arguments)
        assert (told.returncode, told.stdout) == (2, ""), told
        assert text in told.stderr
        assert "Traceback" not in told.stderr


def test_a_server_that_does_not_answer_is_one_line_and_4():
    told = perdure("run", "timer", PERDURE_LOG="kafka://127.0.0.1:9", PERDURE_HEALTH_PORT="0")
    assert told.returncode == 4
    assert told.stderr.splitlines()[-1].startswith("perdure: Kafka at 127.0.0.1:9 cannot be used")
    assert "Traceback" not in told.stderr


def settings_of(side, given):
    settings = ServiceSettings(**{name.removeprefix("PERDURE_").lower(): value for name, value in given.items()})
    return kafka_settings(settings, "test") if side == "KAFKA" else cassandra_settings(settings)


@pytest.mark.parametrize("side", ["KAFKA", "CASSANDRA"])
def test_certificates_that_are_none_are_one_line_and_4(tmp_path, side):
    (tmp_path / "ca.pem").write_text("no certificate")
    given = {f"PERDURE_{side}_TLS": "true", f"PERDURE_{side}_CA_FILE": str(tmp_path / "ca.pem")}
    with pytest.raises(PortError, match=f"check PERDURE_{side}_CA_FILE"):
        settings_of(side, given)
    if side == "KAFKA":  # it is connected first
        told = perdure("run", "timer", PERDURE_HEALTH_PORT="0", **given)
        assert told.returncode == 4
        assert f"check PERDURE_{side}_CA_FILE" in told.stderr.splitlines()[-1]
        assert "Traceback" not in told.stderr


def test_a_gateway_that_everyone_could_reach_is_refused_before_it_connects():
    told = perdure("run", "gateway", PERDURE_GATEWAY_HOST="0.0.0.0")
    assert told.returncode == 2
    assert "PERDURE_GATEWAY_API_TOKEN" in told.stderr.splitlines()[-1]
    told = perdure("run", "gateway", PERDURE_GATEWAY_PORT="many", PERDURE_GATEWAY_API_TOKEN="tiger-9")
    assert told.returncode == 2
    assert "PERDURE_GATEWAY_PORT: " in told.stderr.splitlines()[-1]
    assert "tiger-9" not in told.stderr


def test_where_a_role_listens_is_told_in_json_only_when_it_is_asked(capsys):
    from perdure.cli import run as command

    seen = []

    def run_service(role, target, announce, **given):
        announce({"service": role, "namespace": "n", "probes": "http://h"})
        seen.append((role, target, given))

    import perdure.services.process

    original, perdure.services.process.run_service = perdure.services.process.run_service, run_service
    try:
        command.run(command.RoleName.TIMER, as_json=True)
        assert json.loads(capsys.readouterr().out)["service"] == "timer"
        command.run(command.RoleName.TIMER)
        assert capsys.readouterr().out.startswith("perdure runs the timer\nnamespace  n\n")
    finally:
        perdure.services.process.run_service = original
    assert seen[0] == ("timer", "", {"task_queue": None})
