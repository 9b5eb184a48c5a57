"""The four services as processes, by role and place among those of their role: started, killed, hung, drained."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import httpx

from tests.faults.report import Report
from tests.integration.services.processes import ROOT, SAID_CHARS, Cluster

ROLES = ("orchestrator", "activity-worker", "timer", "gateway")
PARTITIONS = 2
PATIENCE_SECONDS = float(os.environ.get("PERDURE_FAULT_PATIENCE", "60"))
"""For what has to come, on a slow machine too."""
PLANTED = str(Path(__file__).parent / "planted.py")


class Fleet:
    """`planted`: role to the faults planted into it, with commas between them (see planted.py). `gateway` is where
    the one listens that started last.
    """

    partitions = PARTITIONS

    def __init__(self, kafka, cassandra, namespace, folder, *, planted=None, live=False):
        self.namespace = namespace
        self.report = Report(namespace, live=live)
        self.services = {role: [] for role in ROLES}
        self.planted = dict(planted or {})
        self.gateway = ""
        self.ledger = folder / "ledger"
        self._cluster = Cluster(kafka, cassandra, namespace, self.ledger)
        self._cluster.environ |= {
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
            "PERDURE_PARTITIONS": str(self.partitions),
            "PERDURE_REPLICATION": "1",
            "PYTHONHASHSEED": "0",
        }

    def bootstrap(self):
        done = self._cluster.perdure("bootstrap", "--development")
        assert done.returncode == 0, done.stderr

    def launch(self, role, **environ):
        """Start one more; returns at once. `environ`: what this process is told otherwise."""
        app = ("--app", "tests.faults.program:app") if role in ("orchestrator", "activity-worker") else ()
        fault = self.planted.get(role)
        command = (PLANTED, fault) if fault else ("-m", "perdure")
        service = self._cluster.start(*command, "run", role, *app, "--json", **environ)
        self.services[role].append(service)
        return service

    def start(self, role):
        """Start one more, ready."""
        service = self.launch(role)
        self.ready(role, service)
        return service

    def ready(self, role, service):
        """Wait until it is; a gateway is then the one that clients ask."""
        told = service.ready()
        service.probes = told["probes"]
        if role == "gateway":
            self.gateway = told["gateway"]

    def owns(self, service):
        """How many partitions or shards a process says that it serves."""
        text = httpx.get(f"{service.probes}/metrics", timeout=20, trust_env=False).text
        return int(float(re.search(r"^perdure_partitions (\S+)$", text, re.MULTILINE)[1]))

    def shared(self, role):
        """Wait until every process of this role has its part, and all partitions are somebody's."""

        def parts():
            owned = [self.owns(each) for each in self.services[role]]
            return owned if all(owned) and sum(owned) == self.partitions else None

        owned = self.wait_for(parts, f"each {role} has a part")
        self.report.note(f"the partitions of each {role}: {owned}")

    def send(self, role, number, place=0):
        service = self.services[role][place]
        service.process.send_signal(number)
        self.report.note(f"{signal.Signals(number).name} to {role} {service.process.pid}")
        return service

    def hang(self, role, place=0):
        """Stop it where it has decided a batch and not sent it. `hangs_before_commit` must be planted."""
        service = self.send(role, signal.SIGUSR1, place)
        stat = Path(f"/proc/{service.process.pid}/stat")
        self.wait_for(lambda: stat.read_text().rpartition(") ")[2][0] == "T", "it has a batch to commit")
        self.report.note(f"{role} {service.process.pid} hangs")
        return service, time.time()

    def kill(self, role, place=0):
        """kill -9. Returns the process that was killed, and when."""
        service = self.send(role, signal.SIGKILL, place)
        at = time.time()
        assert service.ended() == -signal.SIGKILL
        self.services[role].remove(service)
        return service, at

    def drain(self, role, place=0):
        """SIGTERM, and what a service that was told to go must do."""
        service = self.send(role, signal.SIGTERM, place)
        assert service.ended() == 0, service.said
        self.services[role].remove(service)
        self.report.note(f"{role} {service.process.pid} has left")

    def said(self):
        """The last that each service has logged."""
        services = [(role, each) for role, some in self.services.items() for each in some]
        return "\n".join(f"{role} {each.process.pid}:\n{each.said[-SAID_CHARS:]}" for role, each in services)

    def wait_for(self, found, what, seconds=PATIENCE_SECONDS):
        """The first true answer of `found`; it is asked until then."""
        end = time.monotonic() + seconds
        while not (answer := found()):
            assert time.monotonic() < end, f"never: {what}"
            time.sleep(0.05)
        return answer
