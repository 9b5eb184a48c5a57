"""Subscriptions on real brokers: each message once in the log, whatever is killed; JSON and Avro; what comes later."""

from __future__ import annotations

import io
import json
import random
import signal
import time

import fastavro
import httpx
import pytest

from tests.integration.services.sources import Sources
from tests.integration.services.test_separate_processes import completed, wait_until

pytestmark = [pytest.mark.brokers, pytest.mark.slow]

PARTITIONS = 3
MESSAGES = 4_000
KILLS = 8
SCHEMA = {
    "type": "record", "name": "order",
    "fields": [{"name": "id", "type": "string"}, {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}],
}  # fmt: skip


def added(cluster, name, topic, *options):
    done = cluster.perdure("subscriptions", "add", name, "--topic", topic, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def sources(bootstrapped):
    return Sources(bootstrapped)


def probed(told, path):
    with httpx.Client(base_url=told["probes"], timeout=20) as http:
        return http.get(path).text


def test_every_message_gives_one_start_event_or_dead_letter_although_the_subscriber_is_killed_again_and_again(
    bootstrapped, sources, namespace
):
    """Nobody decides here: what is looked at is the log, in which a repeat would stay to be seen."""
    topic = f"{namespace}-orders"
    sources.create(topic, PARTITIONS)
    added(bootstrapped, "orders", topic, "--workflow", "order", "--instance-id", "join('-', ['order', value.id])")
    added(bootstrapped, "parcels", topic, "--event", "parcel", "--instance-id", "value.id", "--when", "offset != `7`")
    sent = [(n % PARTITIONS, b"k", b"garbage" if n % 10 == 9 else {"id": str(n)}) for n in range(MESSAGES)]
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    subscriber, told = None, None
    for number in range(KILLS):
        sources.send(topic, sent[number * MESSAGES // KILLS : (number + 1) * MESSAGES // KILLS])
        subscriber = bootstrapped.run("subscriber")
        if chance.random() < 0.8:
            told = subscriber.ready()
            before = sum(sources.written().values())
            if chance.random() < 0.7:
                wait_until(lambda before=before: sum(sources.written().values()) > before, f"it works (seed {seed})")
        end = time.monotonic() + chance.random()
        wait_until(lambda end=end: time.monotonic() > end, "a random moment")
        subscriber.end(signal.SIGKILL)
    subscriber = bootstrapped.run("subscriber")
    told = subscriber.ready()
    offsets = [0] * PARTITIONS
    expected = set()
    for partition, _, value in sent:
        place = f"{topic}/{partition}/{offsets[partition]}"
        for name in ("orders", "parcels"):
            if value == b"garbage":
                expected.add(f"letter/{name}/{place}")
            elif name == "orders" or offsets[partition] != 7:
                expected.add(f"sub/{name}/{place}")
        offsets[partition] += 1
    wait_until(lambda: len(sources.written()) >= len(expected), f"all of it is in the log (seed {seed})")
    written = sources.written()
    assert set(written) == expected, seed
    assert max(written.values()) == 1, (seed, written.most_common(3))
    wait_until(lambda: probed(told, "/readyz") == "ready\n", "the last subscriber has joined its groups")
    assert subscriber.end() == 0, subscriber.said
    assert "Traceback" not in subscriber.said


def test_a_stopped_subscriber_that_wakes_up_after_its_session_writes_nothing_twice(bootstrapped, sources, namespace):
    topic = f"{namespace}-orders"
    sources.create(topic, PARTITIONS)
    added(bootstrapped, "orders", topic, "--workflow", "order", "--instance-id", "join('-', ['order', value.id])")
    sent = [(n % PARTITIONS, b"k", {"id": str(n)}) for n in range(900)]
    zombie = bootstrapped.run("subscriber")
    zombie.ready()
    sources.send(topic, sent[:300])
    wait_until(lambda: len(sources.written()) > 0, "it works")
    zombie.process.send_signal(signal.SIGSTOP)
    sources.send(topic, sent[300:600])
    successor = bootstrapped.run("subscriber")
    successor.ready()
    wait_until(lambda: len(sources.written()) == 600, "its successor has all of it")
    zombie.process.send_signal(signal.SIGCONT)
    sources.send(topic, sent[600:])
    wait_until(lambda: len(sources.written()) == 900, "both go on")
    assert max(sources.written().values()) == 1
    assert zombie.end() == successor.end() == 0


def test_a_topic_that_comes_later_is_waited_for_and_starts_workflows_that_events_of_another_topic_complete(
    bootstrapped, sources, namespace
):
    orders, approvals = f"{namespace}-orders", f"{namespace}-approvals"
    services = {
        role: bootstrapped.run(role) for role in ("orchestrator", "activity-worker", "timer", "gateway", "subscriber")
    }
    told = {role: service.ready() for role, service in services.items()}
    assert probed(told["subscriber"], "/readyz") == "ready\n"
    added(bootstrapped, "orders", orders, "--workflow", "approval", "--instance-id", "value.id")
    wait_until(lambda: f"topic {orders} does not exist" in probed(told["subscriber"], "/readyz"), "it says so")
    sources.create(orders, 5)
    sources.create(approvals, 1)
    wait_until(lambda: probed(told["subscriber"], "/readyz") == "ready\n", "it is there now")
    added(bootstrapped, "approvals", approvals, "--event", "approved", "--instance-id", "key", "--input", "value.by")
    wait_until(lambda: "shop" not in probed(told["subscriber"], "/readyz"), "it is served")
    sources.send(orders, [(4, b"k", {"id": "order-1"})])
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        wait_until(lambda: http.get("/v1/instances/order-1").status_code == 200, "it has started")
        sources.send(approvals, [(0, b"order-1", {"by": "ops"})])
        ended = completed(http, "order-1")
    assert (ended["runtimeStatus"], ended["serializedOutput"]) == ("COMPLETED", '"ops"')
    metrics = probed(told["subscriber"], "/metrics")
    assert 'perdure_subscriptions_started_total{subscription="orders"} 1.0' in metrics
    assert 'perdure_subscriptions_raised_total{subscription="approvals"} 1.0' in metrics
    for role, service in services.items():
        assert service.end() == 0, (role, service.said)


def test_avro_values_with_a_schema_of_the_subscription_become_json(bootstrapped, sources, namespace, tmp_path):
    topic, schema = f"{namespace}-avro", tmp_path / "order.avsc"
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    sources.create(topic, 1)
    options = ("--workflow", "approval", "--instance-id", "value.id", "--input", "value.at", "--format", "avro")
    added(bootstrapped, "orders", topic, *options, "--schema", str(schema))
    fingerprint = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(SCHEMA), "CRC-64-AVRO")
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(SCHEMA), {"id": "bare", "at": 1_769_860_800_000})
    single = io.BytesIO()
    fastavro.schemaless_writer(single, fastavro.parse_schema(SCHEMA), {"id": "single", "at": 1_769_860_800_000})
    header = b"\xc3\x01" + bytes.fromhex(fingerprint)
    sources.send(topic, [(0, b"", out.getvalue()), (0, b"", header + single.getvalue()), (0, b"", b"\x00garbage")])
    services = {role: bootstrapped.run(role) for role in ("orchestrator", "gateway", "subscriber")}
    told = {role: service.ready() for role, service in services.items()}
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        for name in ("bare", "single"):
            wait_until(lambda name=name: http.get(f"/v1/instances/{name}").status_code == 200, f"{name} has started")
            assert http.get(f"/v1/instances/{name}").json()["serializedInput"] == '"2026-01-31T12:00:00.000000Z"'
    wait_until(lambda: sources.written()[f"letter/orders/{topic}/0/2"] == 1, "the garbage is a dead letter")


def test_a_file_is_followed_at_each_start(bootstrapped, sources, namespace, tmp_path):
    topic, file = f"{namespace}-orders", tmp_path / "subscriptions.toml"
    one = '[subscriptions.{}]\ntopic = "{}"\nworkflow = "order"\ninstance_id = "value.id"\n'
    file.write_text(one.format("a", topic) + one.format("b", topic), encoding="utf-8")
    sources.create(topic, 1)
    added(bootstrapped, "by-hand", topic, "--event", "e", "--instance-id", "value.id")
    for names in (["a", "b", "by-hand"], ["b", "by-hand"]):
        subscriber = bootstrapped.run("subscriber", PERDURE_SUBSCRIPTIONS=str(file))
        subscriber.ready()
        listed = json.loads(bootstrapped.perdure("subscriptions", "list", "--json").stdout)
        assert [each["name"] for each in listed["subscriptions"]] == names
        assert subscriber.end() == 0
        file.write_text(one.format("b", topic), encoding="utf-8")
    file.write_text(one.format("b", topic) + "topik = 7\n", encoding="utf-8")
    wrong = bootstrapped.run("subscriber", PERDURE_SUBSCRIPTIONS=str(file))
    assert wrong.ended() == 2
    assert "'topik' is nothing that a subscription has" in wrong.said
