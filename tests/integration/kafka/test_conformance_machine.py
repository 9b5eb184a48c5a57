"""Whatever happens in whatever order, Kafka keeps exactly what it acknowledged. Short: every crash waits for a session. What
fails is told as it was found: to look for a shorter case would take hours.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.test_log_machine import LogMachine
from tests.integration.kafka.clusters import KafkaCluster

BOUNDED = settings(
    max_examples=4,
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],
    print_blob=True,
)


@pytest.mark.slow
def test_kafka_keeps_what_it_acknowledged(kafka_address: str, namespace: str) -> None:
    numbers = count()

    class KafkaLogMachine(LogMachine):
        adapter = "kafka"
        patience_s = 60.0

        def make_cluster(self, _folder: Path) -> KafkaCluster:
            return KafkaCluster(kafka_address, f"{namespace}n{next(numbers)}")

    run_state_machine_as_test(KafkaLogMachine, settings=BOUNDED)
