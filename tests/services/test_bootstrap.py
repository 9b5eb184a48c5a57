"""Bootstrap on a log in memory: its order, its faults, and what it prints."""

import json
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.adapters.system import SystemClock
from perdure.cli.program import program
from perdure.codec.versions import newest
from perdure.core.names import Topics
from perdure.ports.errors import PortError, StoreUnavailable, TopicMismatch
from perdure.ports.log import Outgoing, TopicSpec
from perdure.services.bootstrap import Bootstrap, wanted_topics
from perdure.services.kafka_topics import TopicFacts, differences
from perdure.services.keyspace import replication_faults
from perdure.services.layout import layout_topic, read_layout
from perdure.services.plan import access_of
from perdure.services.start_checks import check_topics

TOPICS = Topics("shop")
SETTINGS = {"retention.ms": "-1", "max.message.bytes": "100"}


class Clusters:
    """A log and a store; what was done to them, in order. `facts` by topic override what is told."""

    def __init__(self):
        self.log = MemoryLog(MemoryBroker(SystemClock()))
        self.done = []
        self.settings = {}
        self.tables = False
        self.store_down = False
        self.settle_seconds = 0.0

    def bootstrap(self, partitions=2, copies=1):
        wanted = wanted_topics(TOPICS, partitions, ["gpu"], SETTINGS)
        return Bootstrap(
            self.log, TOPICS, wanted, partitions=partitions, copies=copies, outside=self,
            create_tables=self.create_tables, check_tables=self.check_tables, settle_seconds=self.settle_seconds,
        )  # fmt: skip

    async def facts(self, names):
        found = {}
        for name in names:
            try:
                count = await self.log.partitions(name)
            except Exception:
                continue
            found[name] = TopicFacts(count, 1, self.settings.get(name, SETTINGS))
        return found

    async def put(self, name, settings):
        self.done.append(name)
        self.settings[name] = settings

    async def create_tables(self):
        if self.store_down:
            raise StoreUnavailable("Cassandra cannot be reached")
        self.done.append("tables")
        self.tables = True

    async def check_tables(self):
        if not self.tables:
            raise StoreUnavailable("keyspace perdure has schema version 0")
        return []


@pytest.fixture
async def clusters():
    made = Clusters()
    yield made
    await made.log.close()


async def test_it_makes_everything_and_a_second_run_changes_nothing(clusters):
    assert await clusters.bootstrap().create() == []
    assert clusters.done == ["shop.replies", "tables"]
    assert await clusters.log.partitions("shop.activities.gpu") == 2
    assert clusters.settings["shop.replies"]["retention.ms"] == "3600000"
    assert await clusters.bootstrap().create() == []
    assert clusters.done == ["shop.replies", "tables", "tables"]
    assert await clusters.bootstrap().check() == []


async def test_nothing_is_recorded_before_everything_is_made(clusters):
    clusters.store_down = True
    with pytest.raises(StoreUnavailable):
        await clusters.bootstrap().create()
    assert await read_layout(clusters.log, TOPICS) is None
    clusters.store_down = False
    assert await clusters.bootstrap().create() == []


async def test_another_count_is_refused_before_anything_is_made(clusters):
    await clusters.bootstrap(partitions=2).create()
    clusters.done.clear()
    with pytest.raises(TopicMismatch, match="PERDURE_PARTITIONS=2"):
        await clusters.bootstrap(partitions=3).create()
    assert clusters.done == []
    (fault,) = [each for each in await clusters.bootstrap(partitions=3).check() if "recorded" in each]
    assert "PERDURE_PARTITIONS=2" in fault


async def test_a_check_makes_nothing_and_names_all_that_is_missing(clusters):
    faults = "\n".join(await clusters.bootstrap().check())
    for name in ("shop.instances", "shop.activities.gpu", layout_topic(TOPICS)):
        assert f"topic {name} does not exist" in faults
    assert "schema version 0" in faults
    assert (clusters.done, clusters.tables) == ([], False)


async def test_settings_that_somebody_changed_are_named_and_left(clusters):
    await clusters.bootstrap().create()
    clusters.settings["shop.history"] = {**SETTINGS, "retention.ms": "604800000"}
    assert await clusters.bootstrap().create() == ["topic shop.history has retention.ms=604800000, needs -1"]
    assert clusters.settings["shop.history"]["retention.ms"] == "604800000"


async def test_a_topic_of_another_count_is_refused(clusters):
    await clusters.log.create_topics([TopicSpec("shop.timers", 7)])
    with pytest.raises(TopicMismatch):
        await clusters.bootstrap().create()


def test_some_settings_may_be_higher_and_unreadable_ones_are_no_fault():
    facts = TopicFacts(1, 3, {"max.message.bytes": "200", "retention.ms": "-1"})
    assert differences(facts, SETTINGS, 3) == []
    assert differences(replace(facts, settings=None), SETTINGS, 3) == []
    assert differences(replace(facts, settings={"max.message.bytes": "99"}), SETTINGS, 4) == [
        "has 3 copies, needs 4",
        "has max.message.bytes=99, needs 100",
    ]


def run(*arguments):
    return CliRunner().invoke(program, ["bootstrap", *arguments])


def test_the_plan_is_printed_without_a_connection(environment):
    environment.setenv("PERDURE_CASSANDRA_DATACENTER", "west")
    environment.setenv("PERDURE_CASSANDRA_USERNAME", "ann")
    environment.setenv("PERDURE_CASSANDRA_PASSWORD", "tiger-9")
    told = run("--print", "--partitions", "64", "--queue", "gpu")
    assert told.exit_code == 0, told.output
    for part in (
        "--topic perdure.instances --partitions 64 --replication-factor 3",
        "--config min.insync.replicas=2",
        "--config retention.ms=-1",
        "--topic perdure.activities.gpu --partitions 64",
        "--transactional-id perdure.orchestrator. --resource-pattern-type prefixed",
        "64 over all processes",
        "CREATE KEYSPACE IF NOT EXISTS perdure",
        "'west': 3",
        'GRANT SELECT ON TABLE perdure.history TO "gateway";',
    ):
        assert part in told.output, part
    assert "tiger-9" not in told.output
    plan = json.loads(run("--print", "--json").stdout)
    assert {topic["partitions"] for topic in plan["topics"] if topic["name"] == "perdure.history"} == {4}


def test_one_copy_is_for_development_only():
    told = run("--print", "--development")
    assert "--replication-factor 1" in told.output
    assert "--config min.insync.replicas=1" in told.output
    assert "SimpleStrategy" in told.output
    told = run("--print")
    assert told.exit_code == 2
    assert "PERDURE_CASSANDRA_DATACENTER is not set" in told.stderr


def test_a_role_may_delete_only_what_it_consumes_and_every_role_may_look():
    rights = access_of(TOPICS)
    deletes = {(each.principal, each.name) for each in rights if "Delete" in each.operations}
    assert deletes == {
        ("orchestrator", "shop.instances"), ("orchestrator", "shop.history"), ("activity-worker", "shop.activities"),
        ("timer", "shop.timers"), ("orchestrator", "shop.dead-letters"), ("orchestrator", "shop.dead-letters.marks"),
    }  # fmt: skip
    for role in ("orchestrator", "activity-worker", "timer", "gateway"):
        seen = {each.name for each in rights if each.principal == role}  # Describe comes with every operation
        assert {"shop.instances", "shop.history", "shop.timers", "shop.activities", "shop.layout"} <= seen


async def test_what_the_brokers_have_not_heard_of_yet_is_waited_for(clusters):
    clusters.settle_seconds = 30.0
    asked = []

    async def late(names):
        asked.append(names)
        clusters.settings["shop.history"] = {**SETTINGS, "retention.ms": "1" if len(asked) < 4 else "-1"}
        return await Clusters.facts(clusters, names)

    clusters.facts = late
    assert await clusters.bootstrap().create() == []
    assert len(asked) >= 4


@pytest.mark.parametrize(
    ("found", "data_centre", "says"),
    [
        ({"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "3"}, None, ""),
        ({"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "1"}, None, "has 1 copies, needs 3"),
        ({"class": "org.apache.cassandra.locator.SimpleStrategy", "replication_factor": "3"}, "dc1", "knows no data centres"),
        ({"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1": "3"}, "dc1", ""),
        ({"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1": "3", "dc2": "1"}, "dc1", ""),
        ({"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1": "2"}, "dc1", "has 2 copies in dc1"),
        ({"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc2": "3"}, "dc1", "in dc2, not in dc1"),
        ({"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1": "3", "dc2": "1"}, None, "in dc2"),
        ({"class": "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1": "5/2"}, "dc1", ""),
    ],
)  # fmt: skip
def test_copies_of_the_keyspace_are_compared(found, data_centre, says):
    faults = replication_faults("shop", found, data_centre, 3)
    assert [says in fault for fault in faults] == ([True] if says else [])


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        ("retention.ms", "604800000", True),
        ("max.message.bytes", "99", True),
        ("max.message.bytes", "101", False),
        ("min.insync.replicas", "1", False),
    ],
)
async def test_a_service_refuses_to_start_on_topics_that_would_lose_records_and_on_no_others(
    clusters, name, value, refused
):
    wanted = wanted_topics(TOPICS, 2, [], {**SETTINGS, "min.insync.replicas": "2"})
    await check_topics(clusters, wanted, expiring="shop.replies")  # none exists yet: somebody else tells
    clusters.settle_seconds = 0.0
    await clusters.bootstrap().create()
    clusters.settings["shop.history"] = {**SETTINGS, "min.insync.replicas": "2", name: value}
    with capture_logs() as logs:
        if refused:
            with pytest.raises(
                PortError, match=rf"topic shop.history has {name}={value}, needs .*records would be lost"
            ):
                await check_topics(clusters, wanted, expiring="shop.replies")
        else:
            await check_topics(clusters, wanted, expiring="shop.replies")
    assert ["shop.history" in str(each) for each in logs if name in str(each)] == (
        [True] if name.startswith("min") else []
    )


async def test_a_new_namespace_begins_at_the_newest_write_version_and_an_old_one_stays_where_it_is(clusters):
    await clusters.bootstrap().create()
    assert (await read_layout(clusters.log, TOPICS)).writes == newest()
    other = Clusters()
    await other.bootstrap().create()
    [record] = await other.log.fetch(layout_topic(TOPICS), 0, 0, 10)
    await other.log.delete_before(layout_topic(TOPICS), 0, 1)
    first = json.dumps({"partitions": 2, "form": 1}).encode()
    await other.log.append([Outgoing(record.topic, 0, record.key, first)])
    assert await other.bootstrap().create() == []
    assert (await read_layout(other.log, TOPICS)).writes == 1


async def test_a_service_that_may_not_read_settings_starts_without(clusters):
    await clusters.bootstrap().create()
    wanted = wanted_topics(TOPICS, 2, [], SETTINGS)

    async def unreadable(names):
        return {name: TopicFacts(2, 1, None) for name in names}

    clusters.facts = unreadable
    with capture_logs() as logs:
        await check_topics(clusters, wanted, expiring="shop.replies")
    assert all("may not be read" in each["event"] for each in logs)
