"""Kafka restarted under load, once as an operator does it and once by kill -9: nothing is lost, no service has to be."""

from __future__ import annotations

import os
import time

import pytest

from tests.brokers.private import private_kafka
from tests.faults.scene import Scene

pytestmark = [pytest.mark.brokers, pytest.mark.slow]

DOWN_SECONDS = float(os.environ.get("PERDURE_FAULT_DOWN", "15"))
"""Longer than sessions, transactions and every wait for an answer; longer still by hand."""
PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    with private_kafka(tmp_path_factory.mktemp("kafka"), broker_session_timeout_ms="4000") as broker:
        yield broker


@pytest.fixture(scope="module")
def scene(kafka, cassandra_address, tmp_path_factory):
    name = f"k{os.getpid()}x{os.urandom(3).hex()}"
    with Scene(kafka.address, cassandra_address, name, tmp_path_factory.mktemp(name)) as made:
        yield made


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_kafka_is_away_under_load_and_back(scene, kafka, how):
    before = [each.process.pid for some in scene.services.values() for each in some]
    with scene.under_load(patience=PATIENCE_SECONDS):
        committed = len(scene.facts())
        getattr(kafka, {"stopped": "stop", "killed": "kill"}[how])()
        scene.report.note(f"Kafka {how}")
        time.sleep(DOWN_SECONDS)
        kafka.start()
        back = time.time()
        scene.report.note("Kafka serves again")
        for partition in range(scene.partitions):
            scene.wait_for(
                lambda number=partition: any(
                    fact.partition == number and fact.at > back for fact in scene.facts()[committed:]
                ),
                f"partition {partition} has committed again",
                PATIENCE_SECONDS,
            )
        scene.report.recovered(f"Kafka {how}", time.time() - back)
    ended = [each for some in scene.services.values() for each in some if each.process.poll() is not None]
    assert not ended, scene.said()
    assert [each.process.pid for some in scene.services.values() for each in some] == before
    scene.passes()
