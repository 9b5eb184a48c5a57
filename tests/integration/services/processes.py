"""Services as their operator starts them: `perdure run …`, or the main.py of an image."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SAID_CHARS = 4_000
READY_SECONDS = float(os.environ.get("PERDURE_FAULT_PATIENCE", "60"))


class Service:
    """A process that says in JSON, on one line, that it is ready."""

    def __init__(self, command, environ, folder=HERE):
        self.name = " ".join(command)
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines = queue.Queue()
        self.output = []
        self.errors = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._take_line), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors.append), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _take_line(self, line):
        self.output.append(line)
        self._lines.put(line)

    def ready(self):
        """What it told when it was ready."""
        try:
            line = self._lines.get(timeout=READY_SECONDS)
        except queue.Empty:
            raise AssertionError(f"the service says nothing: {self.said}") from None
        assert line, f"the service ended: {self.said}"
        return json.loads(line)

    @property
    def said(self):
        return "".join(self.errors)

    def end(self, number=signal.SIGTERM, seconds=40):
        """Its exit code."""
        self.process.send_signal(number)
        return self.ended(seconds)

    def ended(self, seconds=40):
        code = self.process.wait(timeout=seconds)
        for reader in self._readers:
            reader.join(seconds)
        return code

    def _read(self, stream, take):
        with stream:
            for line in stream:
                take(line)
        take("")


class Cluster:
    """One namespace on the brokers, and the processes that a test has started on it."""

    app = "orders:app"

    def __init__(self, kafka_address, cassandra_address, namespace, ledger):
        self.ledger = ledger
        ledger.touch()
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PERDURE_", "PYTHONHASHSEED"))
        }
        self.environ = {
            **kept,
            "PYTHONPATH": str(ROOT / "src"),
            "PERDURE_LOG": f"kafka://{kafka_address}",
            "PERDURE_STORE": f"cassandra://{cassandra_address}/{namespace}",
            "PERDURE_NAMESPACE": namespace,
            "PERDURE_PARTITIONS": "2",
            "PERDURE_HEALTH_PORT": "0",
            "PERDURE_GATEWAY_PORT": "0",
            "LEDGER": str(ledger),
        }
        self.services = []  # all that were started

    def perdure(self, *arguments, **environ):
        """A command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "perdure", *arguments], cwd=HERE, env={**self.environ, **environ}, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip

    def run(self, role, *arguments, **environ):
        app = ("--app", self.app) if role in ("orchestrator", "activity-worker") else ()
        return self.start("-m", "perdure", "run", role, *app, "--json", *arguments, **environ)

    def start(self, *command, folder=HERE, **environ):
        self.services.append(Service(command, {**self.environ, **environ}, folder))
        return self.services[-1]

    def close(self):
        for service in self.services:
            if service.process.poll() is None:
                service.process.kill()
            service.ended()
            if "PYTEST_CURRENT_TEST" in os.environ:  # which shows it where it fails; other programs tell what they want
                print(f"{service.name} {service.process.pid}:", service.said[-SAID_CHARS:], sep="\n")

    def written(self):
        """The ledger's lines."""
        return self.ledger.read_text(encoding="utf-8").splitlines()
