"""The four services as processes on real brokers, load on them, and somebody who watches from outside.

    with Scene(kafka, cassandra, namespace, folder) as scene:
        with scene.under_load(seconds=3):
            ... what breaks ...
        scene.passes()

What is done to the services is in fleet.py.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from perdure.services.settings import ServiceSettings
from tests.faults.checker import shown, the_store_equals_the_log, verdict
from tests.faults.evidence import Evidence, attempt_of, ledger_lines
from tests.faults.fleet import PATIENCE_SECONDS, ROLES, Fleet
from tests.faults.follower import Follower
from tests.faults.load import Load
from tests.faults.program import LABOUR_SECONDS
from tests.faults.records import fact
from tests.faults.stored import Reader

PER_SECOND = float(os.environ.get("PERDURE_FAULT_RATE", "8"))
SECONDS = float(os.environ.get("PERDURE_FAULT_SECONDS", "2"))
"""Of load before and after each fault; short in CI."""


class Scene(Fleet):
    """A context manager. Its arguments are Fleet's."""

    members = ROLES
    """What it starts with: a role as often as there are processes of it."""

    def __init__(self, kafka, cassandra, namespace, folder, **more):
        super().__init__(kafka, cassandra, namespace, folder, **more)
        self._kafka, self._cassandra = kafka, cassandra
        self._closing = []
        self._facts, self._owners = [], {}
        self._once, self.ran_meanwhile = [], []

    # -- beginning and end ------------------------------------------------------------------------------------

    def __enter__(self):
        try:
            self._begin()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _begin(self):
        self._closing.append(self._cluster.close)
        self.bootstrap()
        names = {f"{self.namespace}.{name}": self.partitions for name in ("history", "dead-letters")}
        self._follower = Follower(self._kafka, names)
        self._closing.append(self._follower.stop)
        self._follower.start()
        self._store = Reader(self._cassandra, self.namespace)
        self._closing.append(self._store.close)
        with ThreadPoolExecutor(len(self.members)) as pool:
            list(pool.map(self.start, self.members))
        environ = self._cluster.environ
        settings = ServiceSettings(
            log=environ["PERDURE_LOG"], store=environ["PERDURE_STORE"], namespace=self.namespace, replication=1
        )
        self.load = Load(settings, lambda: self.gateway, per_second=PER_SECOND)
        self._closing.append(self.load.close)
        self.load.start()
        self.report.note("all services are ready")

    def close(self):
        """Twice is harmless."""
        while self._closing:
            self._closing.pop()()

    # -- watching ---------------------------------------------------------------------------------------------

    def facts(self):
        """The history so far. Decoded once, for whoever waits asks often. Raises what ended the follower."""
        self._follower.raise_failure()
        for record in self._follower.records[f"{self.namespace}.history"][len(self._facts) :]:
            new = fact(record)
            self._facts.append(new)
            if not new.instance:
                pid = int(new.fields["owner"].split("-")[-2])
                if self._owners.get(new.partition, (0, 0.0))[0] != pid:
                    self._owners[new.partition] = pid, new.at
        return self._facts

    def owners(self):
        """partition to (process id of who committed last, when it took over)"""
        self.facts()
        return dict(self._owners)

    def owner_pids(self):
        return {pid for pid, _ in self.owners().values()}

    def partitions_of(self, service):
        return [number for number, (pid, _) in self.owners().items() if pid == service.process.pid]

    def taken_over(self, service, partitions, at, what):
        """Wait until others have committed in all of these; tells the report how long that took."""

        if not partitions:
            return

        def served():
            owners = self.owners()
            took = [
                when for number, (pid, when) in owners.items() if number in partitions and pid != service.process.pid
            ]
            return took if len(took) == len(partitions) else None

        self.report.recovered(what, max(self.wait_for(served, f"partitions {partitions} have a new owner")) - at)

    def lines(self):
        return ledger_lines(self.ledger)

    def labours(self, service):
        """How many long activities this process has begun so recently that they still run."""
        since, pid = time.time() - LABOUR_SECONDS, service.process.pid
        return sum(each["activity"] == "labour" and each["pid"] == pid and each["at"] > since for each in self.lines())

    def ran_once(self, what, pids, begin, end):
        """Of the long activities that these processes ran at some time between, none is run again later. Asked once all
        is settled, for that may come late.
        """
        self._once.append((what, pids, begin, end))

    def _run_again(self):
        lines = [line for line in self.lines() if line["activity"] == "labour"]
        last = {attempt_of(line): line["at"] for line in lines}
        for what, pids, begin, end in self._once:
            ran = [each for each in lines if each["pid"] in pids and begin - LABOUR_SECONDS < each["at"] < end]
            self.ran_meanwhile.append(len(ran))
            self.report.note(f"{what}: {len(ran)} long activities ran meanwhile")
            yield from (f"{what}: run again was {line}" for line in ran if last[attempt_of(line)] > line["at"])
        self._once.clear()

    # -- load and verdict -------------------------------------------------------------------------------------

    @contextmanager
    def under_load(self, seconds=SECONDS, patience=PATIENCE_SECONDS):
        """Load for so long before and after the body, and until every client has its answer."""
        self.load.begin()
        time.sleep(seconds)
        try:
            yield
        except BaseException:
            print(self.report.text(), self.said(), sep="\n")
            raise
        time.sleep(seconds)
        self.settle(patience)

    def settle(self, patience=PATIENCE_SECONDS):
        self.load.settle(patience)
        told = self.load.told
        self.report.note(
            f"{len(told.accepted)} starts accepted, {len(told.results)} ends told, {self.load.retries} retries"
        )

    def evidence(self, patience=20.0):
        """Once the store has caught up with the log, or has had that many seconds for it."""
        end = time.monotonic() + patience
        while True:
            self._follower.catch_up()
            dead = len(self._follower.records[f"{self.namespace}.dead-letters"])
            found = Evidence(self.load.told, list(self.facts()), self._store.read(), self.lines(), dead)
            if time.monotonic() > end or not list(the_store_equals_the_log(found)):
                return found
            time.sleep(0.3)

    def complaints(self, patience=20.0):
        evidence = self.evidence(patience)
        found = verdict(evidence)
        if again := list(self._run_again()):
            found["what_runs_is_not_given_away"] = again
        self.report.note(f"verdict on {len(evidence.history)} records: {shown(found)}")
        return found

    def passes(self):
        """The verdict is that nothing is wrong; prints the report."""
        found = self.complaints()
        print(self.report.text())
        assert not found, f"{shown(found)}\n{self.said()}"
        assert len(self.load.told.accepted) > 10, "too little load to say anything"
        assert all(self.ran_meanwhile), "no long activity ran while partitions changed hands: that says nothing"
