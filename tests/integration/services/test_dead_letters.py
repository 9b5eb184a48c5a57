"""Dead letters on Kafka: what becomes one, and that a replay happens once, whoever asks at once or dies in the middle."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from perdure.codec.avro import encode
from perdure.core.commands import StartWorkflow
from perdure.core.names import partition_of
from tests.integration.services.test_on_kafka import GARBAGE, PARTITIONS, Running, outside, produce
from tests.integration.services.test_separate_processes import completed, wait_until

MANY = 60

pytestmark = pytest.mark.slow


@pytest.fixture
def world(bootstrapped):
    made = Running(bootstrapped, "orchestrator")
    yield made
    made.http.close()


def replays(cluster):
    """How often each letter was sent again, as readers of committed records see it."""
    address, namespace = outside(cluster)

    async def read():
        places = [TopicPartition(f"{namespace}.instances", number) for number in range(PARTITIONS)]
        options = {"isolation_level": "read_committed", "auto_offset_reset": "earliest", "group_id": None}
        async with AIOKafkaConsumer(bootstrap_servers=address, **options) as consumer, asyncio.timeout(60):
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends, found = await consumer.end_offsets(places), Counter()
            while any([await consumer.position(place) < ends[place] for place in places]):
                for some in (await consumer.getmany(timeout_ms=200)).values():
                    found.update(dict(each.headers).get("perdure-replay-of", b"").decode() for each in some)
            del found[""]
            return found

    return asyncio.run(read())


def letters(http, count, **query):
    """Once there are so many."""

    def enough():
        found = http.get("/v1/dead-letters", params={"limit": 1_000, **query}).json()["letters"]
        return found if len(found) >= count else None

    wait_until(enough, f"{count} dead letters")
    return enough()


def correct(world):
    """The orchestrator of the corrected application takes over."""
    assert world.first["orchestrator"].end() == 0
    service = world.cluster.start("-m", "perdure", "run", "orchestrator", "--app", "corrected:app", "--json")
    service.ready()


def another_gateway(world):
    service = world.cluster.run("gateway")
    return service, httpx.Client(base_url=service.ready()["gateway"], timeout=60)


def test_after_a_correction_a_letter_is_replayed_and_runs_once_though_two_ask_at_once(world):
    home = partition_of("n1", PARTITIONS)
    offsets = produce(world.cluster, (home, b"n1", GARBAGE), (home, b"n1", encode(StartWorkflow("late", "7"))))
    found = {each["origin"]["offset"]: each for each in letters(world.http, 2)}
    assert [found[each]["origin"]["topic"].rpartition(".")[2] for each in offsets] == ["instances", "instances"]
    assert "schema" in found[offsets[0]]["reason"]
    assert "late" in found[offsets[1]]["reason"]
    assert (found[offsets[1]]["kind"], found[offsets[1]]["instanceID"]) == ("StartWorkflow", "n1")
    letter = found[offsets[1]]["id"]
    assert world.http.get(f"/v1/dead-letters/{letter}").json()["fields"]["input"] == "7"
    correct(world)
    second, http = another_gateway(world)
    together = threading.Barrier(2)

    def replay(client):
        together.wait(30)
        return client.post(f"/v1/dead-letters/{letter}/replay", headers={"X-Requested-By": str(client.base_url.port)})

    with ThreadPoolExecutor(2) as both:
        answers = sorted(answer.status_code for answer in both.map(replay, (world.http, http)))
    assert answers[0] == 200
    assert answers[1] in (409, 503)
    assert completed(world.http, "n1")["serializedOutput"] == "7"
    assert replays(world.cluster) == {letter: 1}
    assert Counter(event["type"] for event in world.events("n1"))["WorkflowStarted"] == 1
    assert http.get(f"/v1/dead-letters/{letter}").json()["state"] == "replayed"
    # What nobody can read fails again, and tells of which letter it is the replay.
    garbage = found[offsets[0]]["id"]
    assert http.post(f"/v1/dead-letters/{garbage}/replay").status_code == 200
    (again,) = letters(http, 1)
    assert again["replayOf"] == garbage
    assert http.post(f"/v1/dead-letters/{again['id']}/drop").status_code == 200
    assert http.get("/v1/dead-letters").json()["letters"] == []
    assert second.end() == 0
    http.close()


def test_a_gateway_that_is_killed_in_the_middle_of_many_replays_sends_none_twice(world):
    ids = [f"m{number}" for number in range(MANY)]
    records = [
        (partition_of(each, PARTITIONS), each.encode(), encode(StartWorkflow("late", json.dumps(each)))) for each in ids
    ]
    produce(world.cluster, *records)
    found = letters(world.http, MANY)
    correct(world)
    _, http = another_gateway(world)
    lost = []

    def replay_all():
        try:
            world.http.post("/v1/dead-letters:replay", json={"ids": [each["id"] for each in found]})
        except httpx.TransportError as error:
            lost.append(error)

    asking = threading.Thread(target=replay_all)
    asking.start()
    wait_until(
        lambda: http.get("/v1/dead-letters", params={"state": "replayed"}).json()["letters"], "some are replayed"
    )
    world.first["gateway"].end(signal.SIGKILL)
    asking.join(60)
    assert lost, "the gateway had answered before it was killed: nothing was in the middle"
    told = http.post("/v1/dead-letters:replay", json={"ids": [each["id"] for each in found]}).json()["letters"]
    codes = Counter(each["state"] or each["errorCode"] for each in told)
    assert codes.keys() == {"replayed", "ERR_DEAD_LETTER_SETTLED"}
    for each in ids:
        assert completed(http, each)["serializedOutput"] == json.dumps(each)
    assert replays(world.cluster) == dict.fromkeys((each["id"] for each in found), 1)
    http.close()
