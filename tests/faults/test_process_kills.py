"""kill -9 of each service in turn, under load; another process takes its place, as a supervisor sees to it."""

from __future__ import annotations

import pytest

from tests.faults.troubles import gateway_killed, orchestrator_killed, timer_killed, worker_killed

pytestmark = [pytest.mark.brokers, pytest.mark.slow]


def test_a_killed_orchestrator_loses_nothing_and_repeats_nothing(scene):
    with scene.under_load():
        assert scene.owner_pids(), "it was to own something"
        orchestrator_killed(scene)()
    scene.passes()


def test_a_killed_activity_worker_leaves_its_tasks_to_another(scene):
    with scene.under_load():
        worker_killed(scene)()
    scene.passes()


def test_a_killed_timer_service_leaves_its_timers_to_another(scene):
    with scene.under_load():
        timer_killed(scene)()
    scene.passes()


def test_clients_that_waited_on_a_killed_gateway_are_answered_by_another(scene):
    with scene.under_load():
        waiting = scene.wait_for(lambda: set(scene.load.waiting["http"]), "clients wait on the gateway")
        before = scene.load.retries
        gateway_killed(scene)()
    assert scene.load.retries > before
    assert waiting <= scene.load.told.results.keys()
    scene.passes()


def test_all_of_them_killed_at_once(scene):
    with scene.under_load():
        troubles = [each(scene) for each in (orchestrator_killed, worker_killed, timer_killed, gateway_killed)]
        for served in troubles:
            served()
    scene.passes()
