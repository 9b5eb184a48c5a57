"""An upgrade process by process, under load, on the real brokers."""

from __future__ import annotations

import pytest

from tests.upgrade.rolling import Rolling, roll

pytestmark = [pytest.mark.brokers, pytest.mark.slow]


def test_a_namespace_is_upgraded_under_load_and_nothing_is_lost_or_done_twice(
    kafka_address, cassandra_address, namespace, before, tmp_path
):
    with Rolling(kafka_address, cassandra_address, namespace, tmp_path, before=before) as scene:
        roll(scene)


def test_a_release_that_is_not_held_back_is_noticed(kafka_address, cassandra_address, namespace, before, tmp_path):
    planted = {"orchestrator": "nothing_is_held_back"}
    with (
        Rolling(kafka_address, cassandra_address, namespace, tmp_path, before=before, planted=planted) as scene,
        pytest.raises(AssertionError, match="not held back"),
    ):
        roll(scene)
