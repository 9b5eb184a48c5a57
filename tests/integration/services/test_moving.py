"""A namespace gets more partitions, or its log is lost and its store is not: its instances go on."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from cassandra.cluster import Cluster as Cassandra

from perdure.core.names import partition_of
from tests.integration.services.test_separate_processes import completed, start, wait_until

pytestmark = pytest.mark.slow

ROLES = ("orchestrator", "activity-worker", "timer", "gateway")
WAITING = [f"approval-{number}" for number in range(12)]
ORDERS = [f"order-{number}" for number in range(8)]
FAMILIES = [f"family-{number}" for number in range(6)]
RESULTS = {"order": "[0,1,2]", "family": "[0,1,2,3]", "approval": '"yes"'}


def begin(http):
    for instance_id in (*WAITING, *ORDERS, *FAMILIES):
        start(http, instance_id.partition("-")[0], instance_id)


def everything_ends(http):
    """Each once, and right, whatever was done to the namespace."""
    for instance_id in WAITING:
        answer = http.post(f"/v1/instances/{instance_id}/raise-event/approved", json="yes")
        assert answer.status_code == 202, answer.text
    for instance_id in (*WAITING, *ORDERS, *FAMILIES, *(f"{each}-child" for each in FAMILIES)):
        ended = completed(http, instance_id)
        kind = "order" if instance_id.endswith("-child") else instance_id.partition("-")[0]
        assert (ended["runtimeStatus"], ended["serializedOutput"]) == ("COMPLETED", RESULTS[kind]), instance_id
        events = http.get(f"/v1/instances/{instance_id}/history").json()["events"]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        kinds = Counter(event["type"] for event in events)
        assert kinds["WorkflowStarted"] == kinds["WorkflowCompleted"] == 1
        assert kinds["ActivityCompleted"] == {"order": 3, "family": 1, "approval": 0}[kind]
        assert kinds["TimerFired"] == (1 if kind == "order" else 0)


def ready(cluster, roles=ROLES, **environ):
    started = {role: cluster.run(role, **environ) for role in roles}
    return started, {role: service.ready() for role, service in started.items()}


def drained(started):
    for role, service in started.items():
        assert service.end() == 0, (role, service.said)
        assert "Traceback" not in service.said, service.said


def test_partitions_are_added_between_two_lives_of_the_orchestrators(bootstrapped):
    started, told = ready(bootstrapped)
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        begin(http)
        wait_until(lambda: len(bootstrapped.written()) >= len(ORDERS), "the first steps were taken")
        refused = bootstrapped.perdure("grow", "--partitions", "5")
        assert refused.returncode == 5, refused.stderr
        assert "orchestrators run: perdure-orchestrator" in refused.stderr
        drained({"orchestrator": started.pop("orchestrator")})
        grown = bootstrapped.perdure("grow", "--partitions", "5", "--pass-on")
        assert grown.returncode == 0, grown.stderr
        assert "has 5 partitions, topic epoch 1" in grown.stdout
        again = bootstrapped.perdure("grow", "--partitions", "5")
        assert (again.returncode, "nothing to do" in again.stderr) == (0, True), again.stderr
        assert bootstrapped.perdure("grow", "--partitions", "4").returncode == 4
        second, _ = ready(bootstrapped, ("orchestrator",))
        third, _ = ready(bootstrapped, ("orchestrator",))
        everything_ends(http)
    moved = [each for each in (*WAITING, *ORDERS, *FAMILIES) if partition_of(each, 2) != partition_of(each, 5)]
    assert len(moved) > 10
    steps = {f"{each} {number}" for each in (*ORDERS, *(f"{one}-child" for one in FAMILIES)) for number in range(3)}
    assert set(bootstrapped.written()) == steps | {f"{each} 3" for each in FAMILIES}
    for group in (started, second, third):
        drained(group)


def test_a_growth_that_was_cut_off_is_finished_by_another(bootstrapped, monkeypatch):
    """After the topics were grown and one partition was marked, nothing starts; a second run completes it."""
    started, told = ready(bootstrapped)
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        begin(http)
        wait_until(lambda: len(bootstrapped.written()) >= len(ORDERS), "the first steps were taken")
        drained({"orchestrator": started.pop("orchestrator")})
        cut = bootstrapped.start(
            "-c",
            "import os, sys\n"
            "from perdure.services.growth import Growth\n"
            "mark = Growth._mark\n"
            "async def once(self, partition, *more):\n"
            "    await mark(self, partition, *more)\n"
            "    os._exit(9)\n"
            "Growth._mark = once\n"
            "from perdure.cli import main\n"
            "sys.argv[1:] = ['grow', '--partitions', '3', '--pass-on']\n"
            "main()\n",
        )
        assert cut.ended() == 9, cut.said
        refused = bootstrapped.run("orchestrator")
        assert refused.ended() == 4
        assert "3 partitions, 2 were recorded" in refused.said
        done = bootstrapped.perdure("grow", "--partitions", "3", "--pass-on")
        assert done.returncode == 0, done.stderr
        second, _ = ready(bootstrapped, ("orchestrator",))
        everything_ends(http)
    drained(started)
    drained(second)


def delete_topics(address, namespace):
    async def delete():
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        try:
            ours = [name for name in await admin.list_topics() if name.startswith(f"{namespace}.")]
            async with asyncio.timeout(60):
                while left := set(ours) & set(await admin.list_topics()):
                    await admin.delete_topics(list(left))
                    await asyncio.sleep(0.1)
        finally:
            await admin.close()

    asyncio.run(delete())


def copied(address, keyspace):
    """The keyspace's rows, as a backup has them. Written back at timestamp 1: later than nothing that an engine writes."""
    host, port = address.rsplit(":", 1)
    cluster = Cassandra([host], port=int(port))
    session = cluster.connect()
    tables = [row.table_name for row in session.execute(
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s", (keyspace,)
    )]  # fmt: skip
    rows = {table: list(session.execute(f"SELECT * FROM {keyspace}.{table}")) for table in tables}
    session.execute(f"DROP KEYSPACE {keyspace}")

    def put_back():
        for table, found in rows.items():
            for row in found:
                names = [name for name, value in row._asdict().items() if value is not None]
                places = ", ".join("%s" for _ in names)
                session.execute(
                    f"INSERT INTO {keyspace}.{table} ({', '.join(names)}) VALUES ({places}) USING TIMESTAMP 1",
                    [getattr(row, name) for name in names],
                )
        cluster.shutdown()

    return put_back


def test_instances_go_on_from_a_copy_of_the_store_in_empty_clusters(
    bootstrapped, kafka_address, cassandra_address, namespace
):
    started, told = ready(bootstrapped, ("orchestrator", "timer", "gateway"))
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        begin(http)  # no worker runs: every task is in the log alone
        wait_until(
            lambda: (
                {http.get(f"/v1/instances/{each}").status_code for each in (f"{one}-child" for one in FAMILIES)}
                == {200}
            ),
            "the children have begun",
        )
    drained(started)
    put_back = copied(cassandra_address, namespace)
    delete_topics(kafka_address, namespace)

    assert bootstrapped.perdure("bootstrap", "--development").returncode == 0
    put_back()
    refused = bootstrapped.run("orchestrator")
    assert refused.ended() == 4
    assert "Raise the topic epoch" in refused.said
    done = bootstrapped.perdure("restore", PERDURE_EPOCH="1")
    assert done.returncode == 0, done.stderr
    active = len(WAITING) + len(ORDERS) + 2 * len(FAMILIES)
    assert f"{active} instances were asked" in done.stdout
    started, told = ready(bootstrapped, PERDURE_EPOCH="1")
    with httpx.Client(base_url=told["gateway"]["gateway"], timeout=60) as http:
        everything_ends(http)
    drained(started)
