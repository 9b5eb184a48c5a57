"""The four services as processes on real brokers."""

from __future__ import annotations

import signal
import time
from collections import Counter

import httpx
import pytest

SECONDS = 90.0
ORDERS = 20

pytestmark = pytest.mark.slow


def wait_until(fact, what):
    """A fact with a deadline; the tests' own clock is all that is read."""
    end = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


def completed(http, instance_id):
    """The instance, once it has ended."""
    end = time.monotonic() + SECONDS
    while True:
        answer = http.get(f"/v1/instances/{instance_id}/wait", params={"timeout": 30})
        if answer.status_code == 200:
            return answer.json()
        assert answer.status_code == 408, answer.text
        if time.monotonic() > end:
            known = [http.get(f"/v1/instances/{instance_id}{part}").text for part in ("", "/describe", "/history")]
            pytest.fail("\n".join([f"{instance_id} does not end", *known]))


def start(http, workflow, instance_id):
    answer = http.post(f"/v1/workflows/{workflow}/start", params={"instance_id": instance_id}, json=instance_id)
    assert answer.status_code == 202, answer.text


@pytest.fixture
def services(bootstrapped):
    """All four, started at once, ready."""
    started = {role: bootstrapped.run(role) for role in ("orchestrator", "activity-worker", "timer", "gateway")}
    told = {role: service.ready() for role, service in started.items()}
    return started, told


def test_workflows_complete_once_although_their_orchestrator_is_killed_in_the_middle(bootstrapped, services):
    started, told = services
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        ids = [f"order-{number}" for number in range(ORDERS)]
        for each in ids:
            start(http, "order", each)
        wait_until(lambda: len(bootstrapped.written()) > ORDERS, "the first steps were taken")
        assert started["orchestrator"].end(signal.SIGKILL) == -signal.SIGKILL
        assert len(bootstrapped.written()) < 3 * ORDERS, "it was to be killed in the middle"
        bootstrapped.run("orchestrator").ready()
        for each in ids:
            ended = completed(http, each)
            assert (ended["runtimeStatus"], ended["serializedOutput"]) == ("COMPLETED", "[0,1,2]")
            events = Counter(event["type"] for event in http.get(f"/v1/instances/{each}/history").json()["events"])
            assert events["ActivityCompleted"] == 3
            assert events["TimerFired"] == 1
            assert events["WorkflowCompleted"] == 1
    wait_until(lambda: len(set(bootstrapped.written())) == 3 * ORDERS, "every step was written down")
    for role in ("activity-worker", "timer", "gateway"):
        assert started[role].end() == 0, started[role].said


def test_sigterm_lets_a_running_activity_end_and_the_probes_tell_of_it_all(bootstrapped, services):
    started, told = services
    for role, service in told.items():
        with httpx.Client(base_url=service["probes"], timeout=20) as probe:
            assert probe.get("/healthz").status_code == 200, role
            assert probe.get("/readyz").text == "ready\n", role
            assert f'perdure_ready{{service="{role}"}} 1' in probe.get("/metrics").text
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        start(http, "slow", "slow-1")
        wait_until(bootstrapped.written, "the activity runs")
        assert started["activity-worker"].end() == 0, started["activity-worker"].said
        # No worker is left to run it again: the one that ended has sent what came of it.
        assert completed(http, "slow-1")["serializedOutput"] == "0"
    assert bootstrapped.written() == ["slow-1 0"]
    with httpx.Client(base_url=told["orchestrator"]["probes"], timeout=20) as probe:
        text = probe.get("/metrics").text
    assert "perdure_partitions 2" in text
    assert 'perdure_lag_records{partition="' in text
    for role in ("orchestrator", "timer", "gateway"):
        assert started[role].end() == 0, started[role].said
        assert "Traceback" not in started[role].said


def test_the_main_of_an_image_is_the_same_service(bootstrapped):
    from tests.integration.services.processes import ROOT

    main = ROOT / "services" / "orchestrator" / "main.py"
    service = bootstrapped.start(str(main), "--json", PERDURE_APP="orders:app")
    assert service.ready()["service"] == "orchestrator"
    assert service.end() == 0, service.said
