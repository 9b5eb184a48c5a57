"""The rights that `perdure bootstrap --print` tells: enough for everything, and none too many.

The broker itself is the witness: its authorizer writes down by which rule it let somebody in, and whom it refused.
"""

from __future__ import annotations

import asyncio
import signal

import httpx
import pytest

from perdure.roles.orchestrator import OrchestratorSettings
from tests.integration.services.test_separate_processes import completed, wait_until
from tests.security.rights import denials, used_rights
from tests.security.secured_cluster import start_record

pytestmark = pytest.mark.slow

ROLES = ("orchestrator", "activity-worker", "timer", "gateway")


def test_with_the_rights_of_the_plan_all_goes_well_and_each_of_them_is_used(cluster):
    cluster.bootstrap()
    services = {role: cluster.run(role) for role in ROLES}
    told = {role: service.ready() for role, service in services.items()}
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        _a_day(cluster, http, services)
    beginning, granted = f"{cluster.namespace}.", set(cluster.rights())
    wait_until(lambda: granted <= used_rights(beginning), f"used: {_shown(granted - used_rights(beginning))}")
    for role in ("activity-worker", "timer", "gateway"):
        assert services[role].end() == 0, services[role].said
    assert used_rights(beginning) <= granted
    # Settings are looked at where somebody may (DescribeConfigs), with the topics that they are of.
    assert {each for each in denials(beginning) if each.split()[1] not in ("DESCRIBE", "DESCRIBE_CONFIGS")} == set()


def _shown(rights):
    return ", ".join(sorted(map(str, rights)))


def _a_day(cluster, http, services):
    _start(http, "unserved", "unserved")
    for number in range(4):
        _start(http, "family", f"family-{number}")
    wait_until(lambda: len(cluster.written()) >= 8, "the families are on their way")
    assert services["orchestrator"].end(signal.SIGKILL) == -signal.SIGKILL
    cluster.run("orchestrator").ready()
    for number in range(4):
        answer = http.post(f"/v1/instances/family-{number}/raise-event/go", json="now")
        assert answer.status_code == 202, answer.text
    with cluster.client() as client:
        client.schedule_new_workflow("child", input=7, instance_id="by-client")
        assert client.wait_for_workflow_completion("by-client", timeout_in_seconds=90).serialized_output == "7"
    # So often that the orchestrator lets the log go, too: the same command again has no effect.
    starts = [(b"by-producer", start_record("child", "8"))] * (OrchestratorSettings().delete_every + 100)
    asyncio.run(cluster.send("producer", {"instances": starts}))
    assert completed(http, "by-producer")["serializedOutput"] == "8"
    garbage = [(b"stranger", b"\x00 nothing that anybody can read")]
    asyncio.run(cluster.send("admin", dict.fromkeys(("instances", "activities", "timers"), garbage)))
    for number in range(4):
        ended = completed(http, f"family-{number}")
        assert (ended["runtimeStatus"], ended["serializedOutput"]) == ("COMPLETED", '[0,1,2,"now"]')
    assert http.get("/v1/instances", params={"name": "family"}).json()["instances"]


def _start(http, workflow, instance_id):
    answer = http.post(f"/v1/workflows/{workflow}/start", params={"instance_id": instance_id})
    assert answer.status_code == 202, answer.text
