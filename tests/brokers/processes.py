"""Starting a process, waiting until it serves, ending it by its number."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.brokers.errors import BrokersUnavailable

START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 20
POLL_SECONDS = 0.1
STARTED: list[subprocess.Popen[bytes]] = []  # kept: a collected one warns that its process still runs, as it shall


def spawn(command: list[str], log: Path) -> int:
    """In a session of its own: an interrupt at the terminal is the test run's, the brokers are ended by it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    STARTED.append(process)
    return process.pid


def alive(pid: int, mark: str) -> bool:
    """Whether the process runs and is the one that was started: numbers are reused, `mark` is in its command line."""
    try:
        if not Path("/proc/self").exists():
            os.kill(pid, 0)
            return True
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    if state == "Z":
        for process in STARTED:
            process.poll()  # a child of ours: read how it ended, and it is gone
    # Empty for a moment while a process becomes its program, and for a zombie.
    return state != "Z" and (not command_line or mark.encode() in command_line)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until_serving(name: str, serving: Callable[[], bool], running: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not serving():
        if not running() or time.monotonic() > deadline:
            why = f"did not serve within {START_SECONDS_MAX} s" if running() else "ended while starting"
            tail = log.read_text(errors="replace")[-3000:] if log.exists() else ""
            raise BrokersUnavailable(f"{name} {why}; its log is {log}:\n{tail}")
        time.sleep(POLL_SECONDS)


def end(pid: int, mark: str) -> None:
    """SIGTERM, and SIGKILL if that is not obeyed in time."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS_MAX), (signal.SIGKILL, 5)):
        if not alive(pid, mark):
            break
        os.kill(pid, number)
        wait_until_gone(pid, mark, seconds)


def wait_until_gone(pid: int, mark: str, seconds: float = 5) -> None:
    """For a process that was told to end, and for no longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while alive(pid, mark) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for process in STARTED:
        if process.pid == pid and not alive(pid, mark):
            process.wait(STOP_SECONDS_MAX)  # its threads may outlive its first one for a moment
