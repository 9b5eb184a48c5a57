"""Members of a group that hang, join and leave under load."""

from __future__ import annotations

import pytest

from tests.faults.troubles import (
    orchestrator_hung,
    orchestrator_joined_and_left,
    timer_joined_and_left,
    worker_joined_and_left,
)

pytestmark = [pytest.mark.brokers, pytest.mark.slow]


@pytest.fixture(scope="module")
def scene(make_scene):
    return make_scene(planted={"orchestrator": "hangs_before_commit"})


def test_a_second_orchestrator_joins_and_leaves(scene):
    with scene.under_load():
        orchestrator_joined_and_left(scene)()
    scene.passes()


def test_a_second_activity_worker_joins_and_leaves_and_what_runs_is_run_by_nobody_else(scene):
    with scene.under_load():
        worker_joined_and_left(scene)()
    scene.passes()


def test_a_second_timer_service_joins_and_leaves(scene):
    with scene.under_load():
        timer_joined_and_left(scene)()
    scene.passes()


def test_an_orchestrator_that_hung_past_its_session_is_fenced_and_goes_on_in_peace(scene):
    with scene.under_load():
        orchestrator_hung(scene)()
    scene.passes()
