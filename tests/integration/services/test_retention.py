"""What goes by its age, on the real brokers: old instances are purged, young ones stay, and whoever follows misses nothing."""

from __future__ import annotations

import asyncio
import threading

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from perdure.codec.avro import decode
from perdure.core.events import WorkflowPurged, WorkflowStarted, WorkflowTerminated
from tests.integration.services.test_on_kafka import GARBAGE, PARTITIONS, Running, dead_letters, outside, produce
from tests.integration.services.test_separate_processes import start, wait_until

SECOND = 1_000_000
AGES = {
    "PERDURE_RETAIN": "TERMINATED=2s",
    "PERDURE_HISTORY_HOURS": f"{10 / 3_600:.9f}",
    "PERDURE_DEAD_LETTER_DAYS": f"{2 / 86_400:.9f}",
}
MANY = 70

pytestmark = pytest.mark.slow


class Follower(threading.Thread):
    """Reads all of history as it comes. Its consumer raises where something was gone before it came."""

    def __init__(self, address, namespace):
        super().__init__(daemon=True)
        self._address, self._namespace = address, namespace
        self._over = threading.Event()
        self.events = []
        self.failure = None
        self.positions = {}
        self.starts = {}  # where the log begins now

    def run(self):
        try:
            asyncio.run(self._follow())
        except Exception as error:
            self.failure = error

    async def _follow(self):
        places = [TopicPartition(f"{self._namespace}.history", number) for number in range(PARTITIONS)]
        options = {"isolation_level": "read_committed", "auto_offset_reset": "none", "group_id": None}
        async with AIOKafkaConsumer(bootstrap_servers=self._address, **options) as consumer:
            consumer.assign(places)
            for place in places:
                consumer.seek(place, 0)
            while not self._over.is_set():
                for place, some in (await consumer.getmany(timeout_ms=200)).items():
                    self.positions[place.partition] = some[-1].offset + 1
                    self.events += [(each.key.decode(), decode(each.value)) for each in some if each.key]
                begins = await consumer.beginning_offsets(places)
                self.starts = {place.partition: offset for place, offset in begins.items()}

    def end(self):
        self._over.set()
        self.join(timeout=30)
        assert self.failure is None, self.failure
        assert not self.is_alive()


def test_old_instances_are_purged_young_ones_stay_and_a_follower_misses_nothing(bootstrapped):
    bootstrapped.environ |= AGES
    world = Running(bootstrapped, "orchestrator")
    orchestrator = world.first["orchestrator"]
    follower = Follower(*outside(bootstrapped))
    follower.start()
    with world.http as http:
        gone, kept = [f"old-{number}" for number in range(MANY)], "goes-on"
        for each in (*gone, kept):
            start(http, "collect", each)
        produce(bootstrapped, (0, b"x", GARBAGE))
        assert len(dead_letters(bootstrapped, 1)) == 1
        for each in gone:
            assert http.post(f"/v1/instances/{each}/terminate").status_code == 202
        wait_until(lambda: all(http.get(f"/v1/instances/{each}").status_code == 404 for each in gone), "all are purged")
        assert world.metric(orchestrator, "perdure_retention_purged_total") == MANY
        assert world.metric(orchestrator, "perdure_dead_letters_total") == 1
        wait_until(lambda: len(follower.starts) == 2 and min(follower.starts.values()) > 0, "old history goes")
        wait_until(lambda: _begins(bootstrapped, "dead-letters") > 0, "the old dead letter goes")
        # Another owner goes on from where the store is, whatever has gone.
        assert orchestrator.end() == 0, orchestrator.said
        bootstrapped.run("orchestrator").ready()
        assert http.get(f"/v1/instances/{kept}").json()["runtimeStatus"] == "RUNNING"
        assert http.post(f"/v1/instances/{kept}/terminate").status_code == 202
        wait_until(lambda: http.get(f"/v1/instances/{kept}").status_code == 404, "its time came, too")
        wait_until(lambda: http.get("/v1/instances").json()["instances"] == [], "no list shows them")
    wait_until(
        lambda: (kept, WorkflowPurged) in {(key, type(event)) for key, event in follower.events}, "it is followed"
    )
    follower.end()
    for each in (*gone, kept):
        story = [event for key, event in follower.events if key == each]
        assert [event.seq for event in story] == list(range(1, len(story) + 1))
        assert type(story[0]) is WorkflowStarted
        ended, purged = story[-2:]
        assert (type(ended), type(purged)) == (WorkflowTerminated, WorkflowPurged)
        assert purged.at_us - ended.at_us > 2 * SECOND
        assert (purged.requested_by, purged.command_id) == ("retention", f"retention/{ended.run}")


def _begins(cluster, topic):
    """Where partition 0 of a topic begins."""
    address, namespace = outside(cluster)

    async def asked():
        async with AIOKafkaConsumer(bootstrap_servers=address, group_id=None) as consumer:
            place = TopicPartition(f"{namespace}.{topic}", 0)
            return (await consumer.beginning_offsets([place]))[place]

    return asyncio.run(asked())


def test_the_services_say_what_is_wrong_with_an_age(bootstrapped):
    told = bootstrapped.perdure("run", "orchestrator", "--app", "orders:app", PERDURE_RETAIN="DONE=1d")
    assert told.returncode == 2
    assert "PERDURE_RETAIN cannot be: 'DONE' is no status that an instance ends with" in told.stderr
