"""Brokers in containers, where a Docker engine answers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

from tests.brokers.errors import BrokersUnavailable
from tests.brokers.places import free_ports

ANSWER_SECONDS_MAX = 5
RUN_SECONDS_MAX = 600  # the first run pulls the image


def engine_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        asked = _docker("version", "--format", "{{.Server.Version}}", seconds=ANSWER_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def run(name: str, arguments_for: Callable[[int], list[str]]) -> tuple[str, int]:
    """Starts a container and returns its id and the loopback port it is published on."""
    return _new(name, ["run", "--detach", "--rm"], arguments_for)


def create(name: str, arguments_for: Callable[[int], list[str]]) -> tuple[str, int]:
    """As `run`, but the container waits for `start`, and outlives its stops until `remove`."""
    return _new(name, ["create"], arguments_for)


def _new(name: str, command: list[str], arguments_for: Callable[[int], list[str]]) -> tuple[str, int]:
    [port] = free_ports(1)
    done = _docker(*command, *arguments_for(port), seconds=RUN_SECONDS_MAX)
    if done.returncode != 0:
        raise BrokersUnavailable(f"docker could not {command[0]} {name}:\n{done.stderr.strip()}")
    return done.stdout.strip(), port


def running(container: str) -> bool:
    asked = _docker("inspect", "--format", "{{.State.Running}}", container, seconds=30)
    return asked.stdout.strip() == "true"


def end(container: str) -> None:
    _docker("stop", "--time", "5", container, seconds=60)


def start(container: str) -> None:
    done = _docker("start", container, seconds=60)
    if done.returncode != 0:
        raise BrokersUnavailable(f"docker could not start {container}:\n{done.stderr.strip()}")


def kill(container: str) -> None:
    _docker("kill", container, seconds=30)  # also a paused one


def pause(container: str) -> None:
    _docker("pause", container, seconds=30)


def resume(container: str) -> None:
    _docker("unpause", container, seconds=30)


def remove(container: str) -> None:
    _docker("rm", "--force", "--volumes", container, seconds=60)


def _docker(*arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=seconds, check=False)
