"""The engine as a process of its own, so that it can be killed: `perdure dev`, as a user runs it."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["DemoFailed", "EngineProcess"]

PORT_WAIT_S = 30


class DemoFailed(Exception):
    """Something is not as it should be; the text says what."""


class EngineProcess:
    """`start` it, `kill` it, `start` it again: the port and the files stay the same."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "engine.log"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**os.environ, "PYTHONHASHSEED": "0", "LEDGER": str(folder / "ledger.db")}
        self._command = [
            sys.executable, "-m", "perdure", "dev", "--app", "examples.demo.app:app",
            "--db", str(folder / "demo.db"), "--port", str(self.port),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Its process id, once its port is open."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + PORT_WAIT_S
        while not _is_open(self.port):
            self.check()
            if time.monotonic() > end:
                raise DemoFailed(f"the engine did not open port {self.port} within {PORT_WAIT_S} s")
            time.sleep(0.05)
        return self._process.pid

    def check(self) -> None:
        """Raises DemoFailed if it ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise DemoFailed(f"the engine ended by itself, with exit code {self._process.returncode}")

    def kill(self) -> None:
        """SIGKILL: no time for a last word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask it to end, and wait; kill it if it does not. Twice is harmless."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
                self._process = None
            except subprocess.TimeoutExpired:
                self.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
