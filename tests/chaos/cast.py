"""The services behind proxies, under a supervisor: a scene with two processes of some roles, each on a lane of its own.

A supervisor does what those of real deployments do. What ends before it was ready is started again (exit 4: a broker
did not answer, as docs/services.md has it); whatever ends later by itself is written down, and is a complaint.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.deck import MEMBERS
from tests.faults.scene import Scene

STARTS_MAX = 20
START_SECONDS = 45  # less than Service.ready waits: who does not get ready ends by itself, and is started again
UNUSABLE, CUT_OFF = 4, 6  # exit codes of docs/services.md


class Cast(Scene):
    """A context manager. `stage`: where it plays; the other arguments are Scene's."""

    members = tuple(role for role, count in MEMBERS.items() for _ in range(count))

    def __init__(self, stage, namespace, folder, **more):
        super().__init__(stage.kafka.address, stage.cassandra.address, namespace, folder, **more)
        self.stage = stage
        self.lost = []
        self._over = False
        self._lanes = {}
        self._taking = threading.Lock()
        self._pool = ThreadPoolExecutor(2 * len(self.members))
        self._cluster.environ["PERDURE_START_SECONDS"] = str(START_SECONDS)

    def close(self):
        self._over = True
        super().close()

    def _begin(self):
        self._closing.append(lambda: self._pool.shutdown(cancel_futures=True))
        super()._begin()
        for role, count in MEMBERS.items():
            if count > 1:
                self.shared(role)

    def lane_of(self, service):
        return self._lanes[service]

    def launch(self, role, **environ):
        with self._taking:
            taken = [lane for service, lane in self._lanes.items() if service.process.poll() is None]
            lane = next(each for each in self.stage.lanes if each not in taken)
            addresses = {
                "PERDURE_LOG": f"kafka://127.0.0.1:{lane.kafka.port}",
                "PERDURE_STORE": f"cassandra://127.0.0.1:{lane.cassandra.port}/{self.namespace}",
            }
            service = super().launch(role, **addresses, **environ)
            self._lanes[service] = lane
        return service

    def replace(self, role):
        """Start one more, as often as it takes. A future: done when it is ready."""
        return self._pool.submit(self._stand_up, role, self.launch(role))

    def _stand_up(self, role, service):
        for _ in range(STARTS_MAX):
            try:
                self.ready(role, service)
                return
            except AssertionError:
                if not self._has_ended(service):
                    raise
            code = service.ended()
            assert code == UNUSABLE and not self._over, f"{role} ended with {code} before it was ready: {service.said}"
            self.report.note(f"{role} {service.process.pid} found no broker and ended; another is started")
            self.services[role].remove(service)
            service = self.launch(role)
        raise AssertionError(f"the {role} was not ready after {STARTS_MAX} starts")

    @staticmethod
    def _has_ended(service):
        """It has said its last: a process that ends is gone a moment later."""
        try:
            service.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return False
        return True

    def tell_to_go(self, role, place):
        """SIGTERM. It is no longer one of the role's; returns the process."""
        service = self.send(role, signal.SIGTERM, place)
        self.services[role].remove(service)
        return service

    def note_the_dead(self):
        """Those that ended by themselves are told in `lost`, and replaced."""
        for role in MEMBERS:
            for service in list(self.services[role]):
                if service.process.poll() is not None:
                    code = service.ended()
                    self.lost.append(
                        f"{role} {service.process.pid} ended by itself with {code}:\n{service.said[-4000:]}"
                    )
                    self.services[role].remove(service)
                    self.replace(role).result()
