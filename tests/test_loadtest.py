"""The benchmark runs; its figures are nobody's assertion."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.processes import Meter, cpu_seconds, resident_bytes, server_of
from tests.on_brokers import cassandra_address, kafka_address

__all__ = ["cassandra_address", "kafka_address"]

ROOT = Path(__file__).parent.parent

on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU is counted from /proc")


def run(*arguments, **environ):
    command, environ = [sys.executable, "-m", *arguments], {**os.environ, **environ}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=240, check=False)


def test_every_scenario_of_the_benchmark_runs(tmp_path):
    ran = run("loadtest", "--small", "--folder", str(tmp_path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for scenario in ("throughput", "alone", "sequence", "fan-out", "timers"):
        assert scenario in ran.stdout


@on_linux
@pytest.mark.brokers
@pytest.mark.slow
def test_the_benchmark_runs_on_services_and_counts_every_process(kafka_address, cassandra_address, tmp_path):
    begun = ["--target", "kafka", "--kafka", kafka_address, "--cassandra", cassandra_address]
    small = ["--only", "throughput", "--divide", "80", "--partitions", "2", "--outstanding", "20"]
    told = tmp_path / "figures.json"
    # A wide terminal: what does not fit a table is cut.
    ran = run("loadtest", *begun, *small, "--folder", str(tmp_path), "--json", str(told), COLUMNS="200")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    scenario = json.loads(told.read_text(encoding="utf-8"))["scenarios"]["throughput"]
    figures = {figure["name"]: figure["value"] for figure in scenario["figures"]}
    for name in figures:
        assert name in ran.stdout
    assert figures["workflows a second"] > 0
    assert figures["commits a workflow"] > 0
    events = figures["events a commit"] * figures["commits a workflow"]
    assert events == pytest.approx(12, abs=0.5)  # begun, five steps of two, ended
    (split,) = scenario["splits"].values()
    servers = {name for name, address in (("kafka", kafka_address), ("cassandra", cassandra_address)) if seen(address)}
    assert split.keys() == {"client", "orchestrator", "activity-worker", "timer"} | servers
    # Nothing here waits for a timer: its service may use less than what is counted at all.
    assert {process for process, spent in split.items() if spent <= 0} <= {"timer"}
    assert figures["CPU a workflow, all in"] == pytest.approx(sum(split.values()))


def seen(address):
    """Whether a server's process is one of this machine's, which a container's need not be."""
    return server_of(int(address.rpartition(":")[2])) is not None


def test_a_scenario_that_there_is_not_is_told_with_those_there_are():
    ran = run("loadtest", "--target", "kafka", "--only", "sequence")
    assert ran.returncode == 2
    assert "sequence: no scenario of kafka" in ran.stderr
    assert "takeover" in ran.stderr


@on_linux
def test_what_a_process_has_used_is_found_and_one_that_ended_counts_nothing():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    meter = Meter([("this", os.getpid()), ("ended", ended.pid)])
    ended.wait(60)
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) < before + 0.05:
        sum(range(10_000))
    spent = meter.spent()
    assert spent["this"] > 0.03
    assert spent["ended"] == 0
    assert cpu_seconds(ended.pid) is None
    assert resident_bytes(os.getpid()) > 1_000_000


@on_linux
def test_the_process_behind_a_port_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert server_of(port) == os.getpid()
    assert server_of(port) is None
