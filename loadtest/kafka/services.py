"""Services of a bench: processes of `perdure run`, as an operator starts them."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
APP = "loadtest.workflows:app"
READY_SECONDS = 120
BOOTSTRAPS_MAX = 3
ROLES = ("orchestrator", "activity-worker", "timer")
SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$")


class Service:
    """One process. `log` is the file that its standard error goes to."""

    def __init__(self, role, process, log, begun):
        self.role = role
        self.process = process
        self.pid = process.pid
        self.log = log
        self.begun = begun  # perf_counter() before the process was made
        self.told = {}

    @property
    def probes(self):
        return self.told["probes"]

    async def ready(self):
        """Seconds from its making until it said that it does its work."""
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), READY_SECONDS)
        except TimeoutError:
            line = b""
        if not line:
            raise SystemExit(
                f"the {self.role} did not become ready; its log is {self.log}:\n{self.log.read_text()[-2000:]}"
            )
        self.told = json.loads(line)
        return time.perf_counter() - self.begun

    async def metrics(self):
        """{name: sum over labels}, and {partition: lag} as "partitions"."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            text = (await http.get(f"{self.probes}/metrics")).text
        found, partitions = {}, []
        for line in text.splitlines():
            matched = SAMPLE.match(line)
            if matched is None:
                continue
            name, labels, value = matched.groups()
            found[name] = found.get(name, 0.0) + float(value)
            if name == "perdure_lag_records":
                partitions += [int(number) for number in re.findall(r'partition="(\d+)"', labels)]
        return {**found, "partitions": partitions}

    async def end(self, number=signal.SIGTERM):
        """Until it is gone; by SIGKILL if it does not go."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        try:
            await asyncio.wait_for(self.process.wait(), 40)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


class Services:
    """The services of one namespace. `environ`: PERDURE_ settings."""

    def __init__(self, environ, folder):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.environ = {**kept, "PYTHONHASHSEED": "0", "PYTHONPATH": path, "PERDURE_HEALTH_PORT": "0", **environ}
        self.folder = folder
        self.running = []

    async def bootstrap(self, partitions):
        """Once more if it says that something is not there yet: a busy broker shows late what it has accepted."""
        for attempt in range(BOOTSTRAPS_MAX):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "perdure", "bootstrap", "--development", "--partitions", str(partitions),
                env=self.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await process.communicate()
            if process.returncode == 0:
                return
            await asyncio.sleep(attempt)
        raise SystemExit(f"perdure bootstrap: {said.decode()}")

    async def begin(self, role, **environ):
        """A new process, not ready yet. `environ`: settings that are its alone."""
        log = self.folder / f"{role}-{len(self.running)}-{time.time_ns()}.log"
        app = ["--app", APP] if role in {"orchestrator", "activity-worker"} else []
        begun = time.perf_counter()
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "perdure", "run", role, *app, "--json",
                env={**self.environ, **environ, "PERDURE_LOG_LEVEL": "WARNING"}, stdout=asyncio.subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        service = Service(role, process, log, begun)
        self.running.append(service)
        return service

    async def start(self, roles):
        """All of them at once, until they are ready."""
        services = [await self.begin(role) for role in roles]
        await asyncio.gather(*(service.ready() for service in services))
        return services

    def of(self, role):
        return [each for each in self.running if each.role == role and each.process.returncode is None]

    async def totals(self, role):
        """The metrics of all its processes, added up."""
        total = {}
        for found in await asyncio.gather(*(service.metrics() for service in self.of(role))):
            for name, value in found.items():
                total[name] = total[name] + value if name in total else value
        return total

    async def end(self):
        await asyncio.gather(*(each.end() for each in self.running if each.process.returncode is None))
