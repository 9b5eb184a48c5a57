"""Cassandra away under load, ended or only silent: workflows go on in memory and in the log, and the store catches up."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from tests.brokers.private import private_cassandra
from tests.faults.fleet import PARTITIONS
from tests.faults.scene import Scene

pytestmark = [pytest.mark.brokers, pytest.mark.slow]

DOWN_SECONDS = float(os.environ.get("PERDURE_FAULT_DOWN", "15"))
PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def cassandra(tmp_path_factory):
    with private_cassandra(tmp_path_factory.mktemp("cassandra")) as broker:
        yield broker


@pytest.fixture(scope="module")
def scene(cassandra, kafka_address, tmp_path_factory):
    name = f"c{os.getpid()}x{os.urandom(3).hex()}"
    with Scene(kafka_address, cassandra.address, name, tmp_path_factory.mktemp(name)) as made:
        yield made


@pytest.mark.parametrize(("away", "back"), [("stop", "start"), ("pause", "resume")], ids=["ended", "silent"])
def test_cassandra_is_away_under_load_and_back(scene, cassandra, away, back):
    pids = [each.process.pid for some in scene.services.values() for each in some]
    with scene.under_load(patience=PATIENCE_SECONDS):
        getattr(cassandra, away)()
        gone = time.time()
        scene.report.note("Cassandra is away")
        time.sleep(DOWN_SECONDS)
        ends = Counter(
            (fact.partition, fact.at > gone + DOWN_SECONDS / 2)
            for fact in scene.facts()
            if fact.name == "WorkflowCompleted" and fact.at > gone + 1
        )
        scene.report.note(f"workflows have ended meanwhile, by (partition, in the second half): {dict(ends)}")
        getattr(cassandra, back)()
        scene.report.note("Cassandra is back")
    assert ends.total() > DOWN_SECONDS / 2, "workflows were to go on without the store"
    assert len(ends) == 2 * PARTITIONS, f"one partition stood still: {ends}"
    assert [each.process.pid for some in scene.services.values() for each in some] == pids, scene.said()
    assert all(each.process.poll() is None for some in scene.services.values() for each in some), scene.said()
    scene.passes()
