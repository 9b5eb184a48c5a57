"""The benchmark runs; its figures are nobody's assertion."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.processes import Meter, cpu_seconds, resident_bytes, server_of

ROOT = Path(__file__).parent.parent

on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU is counted from /proc")


def run(*arguments):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_every_scenario_of_the_benchmark_runs(tmp_path):
    ran = run("loadtest", "--small", "--folder", str(tmp_path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for scenario in ("throughput", "alone", "sequence", "fan-out", "timers"):
        assert scenario in ran.stdout


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
