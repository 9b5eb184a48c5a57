"""The rights that `perdure bootstrap --print` tells: enough for everything, and none too many. And no secret gets out.

One day of a cluster, each service as its own user over TLS, with a kill in the middle; in the evening it is grown and
restored. Then what it has left: the brokers themselves are the witnesses. Kafka's authorizer writes down by which rule it
let somebody in, and whom it refused; Cassandra's audit log, what each role has read and written.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from functools import partial

import httpx
import pytest

from perdure.roles.orchestrator import OrchestratorSettings
from tests.brokers.secured import MARK
from tests.integration.services.test_separate_processes import completed, wait_until
from tests.security.grants import Grant, grants_in, refused_grants, used_grants
from tests.security.rights import Right, denials, rights_in, used_rights
from tests.security.scaler import lags_seen
from tests.security.secured_cluster import SecuredCluster, start_record
from tests.telemetry.receiver import Receiver

pytestmark = pytest.mark.slow

OTHERS = ("activity-worker", "timer", "gateway", "subscriber")
COMMANDS = ("grow", "restore")
TOKEN = f"{MARK}-token-of-ann-{os.urandom(8).hex()}"


class Day:
    """`answers`: what the gateway, the probes and the metrics have said. `receiver` has what left as traces.
    `waiting`: what an orchestrator has told of queues and subscriptions; `lags`: what a scaler has seen of them.
    """

    def __init__(self, cluster, receiver):
        self.cluster = cluster
        self.answers = []
        self.receiver = receiver
        self.codes = {}
        self.waiting = {}
        self.lags = {}

    def keep(self, response):
        self.answers.append(f"{response.headers} {response.text}")


@pytest.fixture(scope="module")
def day(brokers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("day")
    cluster = SecuredCluster(brokers, f"t{os.getpid()}x{os.urandom(3).hex()}", folder / "ledger")
    (folder / "tokens").write_text(f"ann {TOKEN}\n")
    with Receiver() as receiver:
        cluster.environ |= {
            "PERDURE_GATEWAY_TOKENS_FILE": str(folder / "tokens"),
            "PERDURE_LOG_LEVEL": "DEBUG",
            "PERDURE_HISTORY_HOURS": "0",  # nobody follows it: it goes once it is stored
            "PERDURE_DEAD_LETTER_DAYS": "0.0003",  # half a minute: old ones are deleted within the day
            "PERDURE_RETAIN": "FAILED=1s",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        }
        try:
            cluster.bootstrap()
            _age(cluster)
            yield _lived(Day(cluster, receiver))
        finally:
            cluster.close()


def granted(cluster):
    return set(grants_in(cluster.plan()["grants"]))


def used(cluster):
    """On Kafka and in Cassandra."""
    roles = {each.role for each in granted(cluster)}
    return used_rights(f"{cluster.namespace}.") | used_grants(cluster.namespace, roles)


def _used_by(cluster, is_due):
    """Waits until those for whom it is due have used all that they were given."""
    given = {each for each in cluster.needed() if is_due(each.user)}
    given |= {each for each in granted(cluster) if is_due(each.role)}
    unused = set()

    def all_is_used():
        unused.clear()
        unused.update(given - used(cluster))
        return not unused

    wait_until(all_is_used, unused)


def _age(cluster):
    """What takes longer than a day: a slice of far timers that is long overdue, ids that were purged a week ago."""
    ns = cluster.namespace
    cluster.brokers.statements(
        f"INSERT INTO {ns}.timer_slices (namespace, shard, slice_no) VALUES ('{ns}', 0, 0) USING TIMESTAMP 1",
        f"INSERT INTO {ns}.days (namespace, kind, day) VALUES ('{ns}', 'tombstones', 1) USING TIMESTAMP 1",
    )


def _subscribe(cluster):
    """To a topic of somebody's, which the subscriber may read."""
    source = f"{cluster.namespace}-source"
    asyncio.run(cluster.make_topic(source))
    cluster.give([Right("subscriber", "topic", source, False, "Read")])
    makes = ("--workflow", "child", "--instance-id", "join('-', ['by-message', value.id])", "--input", "value.number")
    done = cluster.perdure("subscriptions", "add", "source", "--topic", source, *makes, user="subscriber")
    assert done.returncode == 0, done.stderr
    messages = [b'{"id": "1", "number": 9}', b"no JSON: a dead letter"]
    asyncio.run(cluster.send("admin", {"-source": [(b"k", each) for each in messages]}))


def _lived(day):
    cluster = day.cluster
    _subscribe(cluster)
    services = {role: cluster.run(role) for role in ("orchestrator", *OTHERS)}
    told = {role: service.ready() for role, service in services.items()}
    headers = {"dapr-api-token": TOKEN}
    hooks = {"response": [lambda response: response.read() and day.keep(response)]}
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60, headers=headers, event_hooks=hooks) as http:
        orchestrator = _work(cluster, http, services)
        assert http.get("/v1/instances", headers={"dapr-api-token": f"{MARK}-guess"}).status_code == 401
        for where in ("healthz", "readyz", "metrics"):
            for role in OTHERS:
                day.keep(httpx.get(f"{told[role]['probes']}/{where}", timeout=60))
        _look_at_what_waits(day, f"{orchestrator['probes']}/metrics")
        _used_by(cluster, lambda user: user not in COMMANDS)
    day.codes = {role: services[role].end() for role in OTHERS}
    _grow_and_restore(cluster)
    return day


def _grow_and_restore(cluster):
    """Twice grown: of a partition in which nothing was ever decided, the store is asked."""
    assert cluster.services[-1].end() == 0, cluster.services[-1].said
    for epoch, count in enumerate((3, 4), start=1):
        grown = cluster.perdure("grow", "--partitions", str(count), "--pass-on", user="grow")
        assert grown.returncode == 0, grown.stderr
        assert f"has {count} partitions, topic epoch {epoch}" in grown.stdout
    restored = cluster.perdure("restore", user="restore")
    assert restored.returncode == 0, restored.stderr
    assert " 0 instances were asked" not in restored.stdout
    _used_by(cluster, lambda user: user in COMMANDS)


def _work(cluster, http, services):
    for workflow in ("unserved", "fails", "halts", "sleeps"):
        _start(http, workflow, workflow)
    for number in range(4):
        _start(http, "family", f"family-{number}")
    wait_until(lambda: len(cluster.written()) >= 8, "the families are on their way")
    assert services["orchestrator"].end(signal.SIGKILL) == -signal.SIGKILL
    orchestrator = cluster.run("orchestrator").ready()
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
    assert completed(http, "by-message-1")["serializedOutput"] == "9"
    for topic in ("instances", "activities", "timers"):
        wait_until(partial(_replayed, cluster, http, topic), f"a dead letter of {topic} is replayed")
    done = cluster.perdure("upgrade", "--check", user="upgrade")
    assert done.returncode == 0, done.stderr
    for number in range(4):
        ended = completed(http, f"family-{number}")
        assert (ended["runtimeStatus"], ended["serializedOutput"]) == ("COMPLETED", '[0,1,2,"now"]')
    assert http.get("/v1/instances", params={"name": "family"}).json()["instances"]
    events = http.get("/v1/instances/family-0/history").json()["events"]
    assert {each["requested_by"] for each in events if each["type"] in ("WorkflowStarted", "EventRaised")} == {"ann"}
    return orchestrator


def _look_at_what_waits(day, url):
    """As Prometheus does, and as KEDA does: the first may be told nothing yet."""
    ns = day.cluster.namespace
    day.cluster.give([Right("scaler", "topic", f"{ns}-source", False, "Describe")])

    def told():
        day.keep(answer := httpx.get(url, timeout=60))
        found = re.findall(r'^perdure_(group_\w+){group="(.+)"} (\S+)$', answer.text, re.MULTILINE)
        day.waiting = {(name, group.removeprefix(f"{ns}.")): float(value) for name, group, value in found}
        return day.waiting

    wait_until(told, "an orchestrator tells what waits")
    topics = {
        "orchestrator": ".instances",
        "timer": ".timers",
        "activity-worker": ".activities",
        "subscription.source": "-source",
    }
    day.lags = asyncio.run(
        lags_seen(day.cluster, "scaler", {f"{ns}.{group}": ns + topic for group, topic in topics.items()})
    )


def _replayed(cluster, http, topic):
    """A record that nobody can read becomes a dead letter, and is sent again; old letters go, so it may take two."""
    asyncio.run(cluster.send("admin", {topic: [(b"stranger", b"\x7f nothing that anybody can read")]}))
    origin = f"{cluster.namespace}.{topic}"
    answer = http.get("/v1/dead-letters", params={"origin": origin, "state": "open"})
    assert answer.status_code == 200, answer.text
    letters = answer.json()["letters"]
    return letters and http.post(f"/v1/dead-letters/{letters[-1]['id']}/replay").status_code == 200


def _start(http, workflow, instance_id):
    answer = http.post(f"/v1/workflows/{workflow}/start", params={"instance_id": instance_id})
    assert answer.status_code == 202, answer.text


def test_the_rights_of_the_plan_are_enough_for_a_day_with_a_takeover_and_dead_letters(day):
    assert day.codes == dict.fromkeys(OTHERS, 0), day.cluster.said_by_all
    # Settings are looked at where somebody may (DescribeConfigs), with the topics that they are of.
    refused = {
        each for each in denials(f"{day.cluster.namespace}.") if each.split()[1] not in ("DESCRIBE", "DESCRIBE_CONFIGS")
    }
    assert refused == set()
    assert refused_grants(day.cluster.namespace) == set()


def test_each_right_of_the_plan_is_used_for_what_it_is_and_no_other_one(day):
    assert used(day.cluster) == day.cluster.needed() | granted(day.cluster)


def test_an_orchestrator_tells_what_waits_in_queues_and_who_is_there_by_its_own_rights(day):
    assert {place: value for place, value in day.waiting.items() if place[0] == "group_members"} == {
        ("group_members", "activity-worker"): 1, ("group_members", "subscription.source"): 1,
    }  # fmt: skip
    assert {group for name, group in day.waiting if name == "group_lag_records"} == {"activity-worker"}


def test_a_scaler_sees_the_lag_of_all_that_the_chart_scales_by_it(day):
    assert len(day.lags) == 4 and None not in day.lags.values(), day.lags


def test_one_right_too_many_would_be_seen(day):
    topic = f"{day.cluster.namespace}.history"
    [more] = rights_in(
        [{"principal": "timer", "kind": "topic", "name": topic, "prefixed": False, "operations": "Delete"}]
    )
    assert used(day.cluster).isdisjoint({more, Grant("timer", "SELECT", "history")})


def test_no_secret_is_in_anything_that_was_said_logged_answered_measured_or_traced(day):
    said = day.cluster.said_by_all
    assert "the gateway listens" in said
    assert "perdure_ready" in "".join(day.answers)
    assert day.receiver.spans
    for text in (said, "".join(day.answers), repr(day.receiver.spans)):
        assert MARK not in text, text[max(0, text.find(MARK) - 300) : text.find(MARK) + 100]
