"""What holds on Kafka itself: records that are no commands, wrong partitions, leases of the dead, memory that is kept."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections import Counter

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from perdure.codec.avro import encode
from perdure.core.commands import StartWorkflow
from perdure.core.names import partition_of
from tests.integration.services.test_separate_processes import completed, start, wait_until

PARTITIONS = 2
GARBAGE = b"\xc3\x01 this is nobody's schema"

pytestmark = pytest.mark.slow


class Running:
    """The services of a cluster, ready. `http` asks the gateway."""

    def __init__(self, cluster, *roles):
        self.cluster = cluster
        services = [cluster.run(role) for role in ("gateway", *roles)]
        self.told = {service: service.ready() for service in services}
        self.first = dict(zip(("gateway", *roles), services, strict=True))
        self.http = httpx.Client(base_url=self.told[services[0]]["gateway"], timeout=60)

    def join(self, role):
        service = self.cluster.run(role)
        self.told[service] = service.ready()
        return service

    def metrics(self, service):
        return httpx.get(f"{self.told[service]['probes']}/metrics", timeout=20).text

    def metric(self, service, name):
        """A number that has no labels that tell it from others."""
        return int(float(re.search(rf"^{name}(?:{{.*}})? (\S+)$", self.metrics(service), re.MULTILINE)[1]))

    def owned(self, service):
        """The numbers of an orchestrator's partitions."""
        return {
            int(number)
            for number in re.findall(r'^perdure_lag_records\{partition="(\d+)"', self.metrics(service), re.MULTILINE)
        }

    def events(self, instance_id):
        return self.http.get(f"/v1/instances/{instance_id}/history").json()["events"]


@pytest.fixture
def running(bootstrapped):
    """`running(role, …)`: a gateway and these."""
    made = []

    def begin(*roles):
        made.append(Running(bootstrapped, *roles))
        return made[-1]

    yield begin
    for each in made:
        each.http.close()


def outside(cluster):
    """(address, namespace) as somebody uses them who has only a Kafka client."""
    return cluster.environ["PERDURE_LOG"].removeprefix("kafka://"), cluster.environ["PERDURE_NAMESPACE"]


def produce(cluster, *records):
    """(partition, key, value) each, to the instances topic. Returns their offsets."""
    address, namespace = outside(cluster)

    async def sent():
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            return [
                (await producer.send_and_wait(f"{namespace}.instances", value, key, partition)).offset
                for partition, key, value in records
            ]

    return asyncio.run(sent())


def dead_letters(cluster, count):
    """Once there are so many."""
    address, namespace = outside(cluster)

    async def read():
        places = [TopicPartition(f"{namespace}.dead-letters", number) for number in range(PARTITIONS)]
        options = {"isolation_level": "read_committed", "auto_offset_reset": "earliest", "group_id": None}
        async with AIOKafkaConsumer(bootstrap_servers=address, **options) as consumer, asyncio.timeout(90):
            consumer.assign(places)
            found = []
            while len(found) < count:
                found += [each for some in (await consumer.getmany(timeout_ms=500)).values() for each in some]
            return found

    return asyncio.run(read())


def known_by_now(http, instance_id):
    wait_until(lambda: http.get(f"/v1/instances/{instance_id}").status_code == 200, f"{instance_id} is known")


def test_garbage_becomes_a_dead_letter_with_reason_and_origin_and_its_neighbours_go_on(running):
    world = running("orchestrator", "activity-worker", "timer")
    home = partition_of("good", PARTITIONS)
    good = encode(StartWorkflow("order", json.dumps("good"), "c1"))
    records = [(home, b"good", GARBAGE), (home, b"good", good), (home, b"\xff\xfe", good), (home, b"", good)]
    offsets = produce(world.cluster, *records)
    known_by_now(world.http, "good")
    assert completed(world.http, "good")["serializedOutput"] == "[0,1,2]"
    letters = dead_letters(world.cluster, 3)
    origins = {dict(letter.headers)["perdure-origin"].decode(): letter for letter in letters}
    topic = f"{world.cluster.environ['PERDURE_NAMESPACE']}.instances"
    for place, reason in ((0, "schema"), (2, "UTF-8"), (3, "empty")):
        letter = origins.pop(f"{topic}/{home}/{offsets[place]}")
        assert ((letter.key or b""), letter.value) == records[place][1:]
        assert reason in dict(letter.headers)["perdure-reason"].decode()
    assert not origins
    assert world.metric(world.first["orchestrator"], "perdure_dead_letters_total") == 3
    assert sorted(world.cluster.written()) == ["good 0", "good 1", "good 2"]


def test_a_command_in_the_wrong_partition_is_forwarded_and_runs_once(running):
    world = running("orchestrator", "activity-worker", "timer")
    wrong = 1 - partition_of("astray", PARTITIONS)
    command = encode(StartWorkflow("order", json.dumps("astray"), "c1"))
    produce(world.cluster, (wrong, b"astray", command), (wrong, b"astray", command))  # and again, as a client may
    known_by_now(world.http, "astray")
    assert completed(world.http, "astray")["serializedOutput"] == "[0,1,2]"
    orchestrator = world.first["orchestrator"]
    wait_until(lambda: world.metric(orchestrator, "perdure_forwarded_total") == 2, "both were forwarded")
    assert Counter(event["type"] for event in world.events("astray"))["WorkflowStarted"] == 1
    assert sorted(world.cluster.written()) == ["astray 0", "astray 1", "astray 2"]


def test_a_time_out_whose_worker_is_dead_fires_by_its_lease_and_another_worker_runs_the_next_attempt(running):
    """A rebalance leaves the running attempt to its lease; the worker that dies then is one that nobody asks again."""
    world = running("orchestrator", "activity-worker", "timer")
    workers = [world.first["activity-worker"], world.join("activity-worker"), world.join("activity-worker")]
    shares = {}

    def shared():
        shares.update({each: world.metric(each, "perdure_partitions") for each in workers})
        return sorted(shares.values()) == [0, 1, 1]

    wait_until(shared, "two of three workers have a partition")
    start(world.http, "patient", "p1")
    wait_until(world.cluster.written, "the first attempt runs")
    pid = int(world.cluster.written()[0].split()[2])
    dying = next(each for each in workers if each.process.pid == pid)
    leaving = next(each for each in workers if each is not dying and shares[each])
    heir = next(each for each in workers if each not in (dying, leaving))
    leaving.process.send_signal(signal.SIGTERM)
    wait_until(lambda: world.metric(heir, "perdure_partitions") == 1, "a rebalance while it runs")
    assert dying.end(signal.SIGKILL) == -signal.SIGKILL
    assert completed(world.http, "p1")["serializedOutput"] == "2"
    assert world.cluster.written() == [f"p1 1 {pid}", f"p1 2 {heir.process.pid}"]
    failed = [event for event in world.events("p1") if event["type"] == "ActivityFailed"]
    assert ["ActivityTimeout" in json.dumps(event) for event in failed] == [True]


def test_a_partition_that_a_rebalance_hands_back_goes_on_from_memory(running):
    world = running("orchestrator")
    first = world.first["orchestrator"]
    ids = [f"collect-{number}" for number in range(12)]
    for each in ids:
        start(world.http, "collect", each)

    def send(some, number):
        """An event each, until its turn is decided."""
        for each in some:
            answer = world.http.post(f"/v1/instances/{each}/raise-event/parcel", json=number)
            assert answer.status_code == 202, answer.text
        for each in some:
            wait_until(lambda: sum(event["type"] == "EventRaised" for event in world.events(each)) == number + 1, each)

    send(ids, 0)
    loads = world.metric(first, "perdure_loads_total")
    second = world.join("orchestrator")
    wait_until(lambda: len(world.owned(first)) == len(world.owned(second)) == 1, "each has a partition")
    (kept,) = world.owned(first)
    of_first = [each for each in ids if partition_of(each, PARTITIONS) == kept]
    of_second = [each for each in ids if each not in of_first]
    assert of_first
    assert of_second
    send(of_first, 1)
    send(of_second, 1)
    assert world.metric(first, "perdure_loads_total") == loads
    assert world.metric(second, "perdure_loads_total") >= len(of_second)
    assert second.end() == 0, second.said
    wait_until(lambda: len(world.owned(first)) == 2, "it has both again")
    send(ids, 2)
    # Those that somebody else had meanwhile, once each, and none of those that stayed.
    assert world.metric(first, "perdure_loads_total") == loads + len(of_second)
    send(ids, 3)
    for each in ids:
        assert completed(world.http, each)["serializedOutput"] == "[0,1,2,3]"


def test_tasks_that_no_worker_is_there_for_are_told_by_the_orchestrator_until_one_has_drained_them(running):
    world = running("orchestrator", "timer")
    orchestrator = world.first["orchestrator"]
    group = f"{world.cluster.environ['PERDURE_NAMESPACE']}.activity-worker"

    def told():
        text = world.metrics(orchestrator)
        found = re.findall(rf'^perdure_group_(lag_records|members)\{{group="{group}"\}} (\S+)$', text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    start(world.http, "family", "waits")
    wait_until(lambda: told().get("lag_records", 0) >= 1, "a task waits")
    assert told()["members"] == 0
    world.join("activity-worker")
    assert completed(world.http, "waits")["serializedOutput"] == "[0,1,2,3]"
    wait_until(lambda: told() == {"lag_records": 0, "members": 1}, "the worker has drained its queue")
