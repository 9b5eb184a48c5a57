"""Where things lie below `.brokers/`, and the lock that makes one process at a time change them."""

from __future__ import annotations

import fcntl
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOME = Path(__file__).resolve().parents[2] / ".brokers"
OURS = range(12_000, 32_000)
"""Ports below those of connections: Linux begins at 32,768, others later."""


def libraries(artefact: str) -> Path:
    return HOME / "libs" / artefact


def run_folder(name: str) -> Path:
    """Data, configuration and logs of one broker's last run; the logs stay when it ends."""
    return HOME / "run" / name


def state_file(name: str) -> Path:
    return HOME / "run" / f"{name}.json"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time; freed by the kernel if the holder dies."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody uses. All are held until all are known, so that they differ.

    None is of those that a kernel gives out by itself: a broker binds the last of its ports many seconds later, and meanwhile
    any connection could be given it.
    """
    holders: list[socket.socket] = []
    try:
        while len(holders) < count:
            holder = socket.socket()
            try:
                holder.bind(("127.0.0.1", secrets.choice(OURS)))
            except OSError:
                holder.close()
            else:
                holders.append(holder)
        return [holder.getsockname()[1] for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def held_port() -> socket.socket:
    """A socket bound to a free loopback port, which never listens. As long as it is open nobody is given the port, and
    whoever sets SO_REUSEADDR may listen on it: servers do, those of Java too. Close it.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


def say(text: str) -> None:
    print(f"brokers: {text}", flush=True)
