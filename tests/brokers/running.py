"""What runs, who uses it, and when it ends.

One broker of a kind runs per checkout, whoever started it. Its state file holds how to reach and to end it, and the
processes that use it: test workers come and go, and the last one ends what a test run started. What `start` began
stays until `stop`.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import Any

from tests.brokers import cassandra, docker, kafka
from tests.brokers.artefacts import CASSANDRA, KAFKA, resolve
from tests.brokers.places import locked, run_folder, say, state_file
from tests.brokers.processes import accepts, alive, end, spawn, wait_until_serving

BROKERS: dict[str, ModuleType] = {"kafka": kafka, "cassandra": cassandra}
ARTEFACTS = {"kafka": KAFKA, "cassandra": CASSANDRA}


def _kind(name: str) -> Any:
    """Secured ones need packages that `python -m tests.brokers start` does without."""
    if name in BROKERS:
        return BROKERS[name]
    from tests.brokers.secured import SECURED

    return SECURED[name]


@dataclass
class State:
    """Of a broker that was started here. Either a process or a container; `users` are process numbers."""

    port: int
    pid: int = 0
    container: str = ""
    keep: bool = False
    users: list[int] = field(default_factory=list)

    def running(self, name: str) -> bool:
        return docker.running(self.container) if self.container else alive(self.pid, str(run_folder(name)))

    def end(self, name: str) -> None:
        if self.container:
            docker.end(self.container)
        else:
            end(self.pid, str(run_folder(name)))


@dataclass
class Lease:
    """The use of a broker by this process: give it back when done."""

    name: str
    address: str
    given: bool

    def release(self) -> None:
        if not self.given:
            _release(self.name)


def acquire(name: str) -> Lease:
    """A broker for this process, started if none runs. It ends when its last user has released it."""
    if given := _given(name):
        return Lease(name, given, given=True)
    return Lease(name, f"127.0.0.1:{_use(name, keep=False)}", given=False)


def start(name: str) -> str:
    """The address of a broker that stays until `stop`."""
    return _given(name) or f"127.0.0.1:{_use(name, keep=True)}"


def fetch(name: str) -> None:
    """What a start would have to download, so that no test waits for it."""
    if not _given(name) and not docker.engine_answers():
        resolve(ARTEFACTS[name])


def _given(name: str) -> str:
    """Somebody's address, without a scheme; empty if there is none."""
    address = os.environ.get(f"PERDURE_TEST_{name.upper()}", "")
    return address.partition("://")[2] or address


def stop(name: str) -> None:
    with locked(name):
        state = _read(name)
        if state is None or not state.running(name):
            say(f"{name} is not running")
        else:
            state.end(name)
            say(f"{name} ended; its log is {run_folder(name) / 'output.log'}")
        state_file(name).unlink(missing_ok=True)


def _use(name: str, *, keep: bool) -> int:
    with locked(name):
        state = _read(name)
        if state is None or not state.running(name):
            state = _start(name)
        state.keep |= keep
        if not keep:
            state.users.append(os.getpid())
        _write(name, state)
        return state.port


def _start(name: str) -> State:
    broker, folder = _kind(name), run_folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "output.log"
    if name in BROKERS and docker.engine_answers():
        say(f"starting {name} in Docker ...")
        container, port = docker.run(name, broker.container_arguments)
        state = State(port, container=container)
    else:
        command, port = broker.prepare(folder, log)
        say(f"starting {name} on 127.0.0.1:{port} (log: {log}) ...")
        state = State(port, pid=spawn(command, log))
    try:
        wait_until_serving(name, lambda: accepts(port), lambda: state.running(name), log)
    except BaseException:
        state.end(name)
        raise
    return state


def _release(name: str) -> None:
    with locked(name):
        state = _read(name)
        if state is None:
            return
        if os.getpid() in state.users:
            state.users.remove(os.getpid())
        state.users = [user for user in state.users if alive(user, "")]
        if state.users or state.keep:
            _write(name, state)
        else:
            state.end(name)
            state_file(name).unlink(missing_ok=True)


def _read(name: str) -> State | None:
    try:
        return State(**json.loads(state_file(name).read_text()))
    except FileNotFoundError:
        return None


def _write(name: str, state: State) -> None:
    state_file(name).write_text(json.dumps(asdict(state)))
