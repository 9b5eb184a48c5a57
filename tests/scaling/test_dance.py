"""The services follow the load, as the chart's ScaledObjects say, and nothing is lost on the way."""

from __future__ import annotations

import pytest

from tests.scaling.dance import Dance, dance


@pytest.mark.brokers
@pytest.mark.slow
def test_services_come_and_go_with_the_load_down_to_none_and_nothing_is_lost(
    kafka_address, cassandra_address, namespace, tmp_path
):
    with Dance(kafka_address, cassandra_address, namespace, tmp_path) as scene:
        dance(scene, restarted=("timer",))
