"""Rights taken away, and namespaces apart: who lacks a right is told which, and sees and writes nothing."""

from __future__ import annotations

import asyncio
import os
from functools import partial

import httpx
import pytest
from aiokafka.errors import ClusterAuthorizationFailedError, TopicAuthorizationFailedError

import perdure as wf
from perdure.adapters.kafka import KafkaLog, KafkaSettings
from perdure.assembly import kafka_cassandra_ports
from perdure.codec.avro import encode
from perdure.core.errors import PerdureError
from perdure.core.events import BatchCommitted
from perdure.core.names import Topics
from perdure.ports.errors import PortError
from perdure.ports.log import Outgoing
from perdure.services.moving import grown, restored
from perdure.services.process import Process
from perdure.services.settings import read_settings
from perdure.services.upgrading import upgraded
from tests.security.rights import Right, rights_in
from tests.security.secured_cluster import SecuredCluster

pytestmark = pytest.mark.slow

SECONDS = 60.0
SERVICES = ("orchestrator", "activity-worker", "timer", "gateway", "subscriber")
OF_METRICS = (".subscriptions", ".activity-worker", ".subscription.")
"""What an orchestrator looks at when it is asked for metrics, and works without."""
COMMANDS = {
    "restore": partial(restored, tell=str),
    "upgrade": partial(upgraded, check=True, wait_seconds=0.0),
}


@pytest.fixture(scope="module")
def ready(brokers, tmp_path_factory):
    """One namespace for all: each test gives back the rights that it takes."""
    made = SecuredCluster(brokers, f"t{os.getpid()}x{os.urandom(3).hex()}", tmp_path_factory.mktemp("apart") / "ledger")
    try:
        made.bootstrap()
        yield made
    finally:
        made.close()


def log_of(cluster, user):
    servers = (cluster.brokers.kafka_address("SASLTLS"),)
    return KafkaLog(KafkaSettings(servers, cluster.security(user), f"test-{user}", replication=1, insync_min=1))


def needed_at_start(right):
    """What a service does before it says that it is ready, and a command at all; the rest is seen to be used in test_rights."""
    if right.user in COMMANDS:
        return True
    if ".dead-letters" in right.name:
        return False  # looked at later, by who deletes old ones or is asked for them
    if right.user == "orchestrator" and right.name.endswith(OF_METRICS):
        return False
    if right.user == "subscriber" and (right.kind != "topic" or right.name.endswith(".subscriptions")):
        return False  # there is no subscription yet: nothing to read, no group to join
    return right.operation in ("Read", "Describe") or right.kind == "transactional-id"


async def test_who_lacks_a_right_says_which_and_does_not_begin(ready, environment):
    """Services and commands, each as its own user: one's rights are nothing to the others, so all are tried at once."""
    async with asyncio.TaskGroup() as all_at_once:
        for user in (*SERVICES, *COMMANDS):
            rights = [each for each in ready.needed() if each.user == user and needed_at_start(each)]
            assert rights, user
            environment(ready, user)
            all_at_once.create_task(_refused_without_each(ready, rights, read_settings()))


async def test_an_orchestrator_that_may_not_look_at_who_reads_works_and_tells_what_it_may(ready, environment):
    """A namespace whose rights are those of an earlier release."""
    lacking = [each for each in ready.rights() if each.user == "orchestrator" and each.name.endswith(OF_METRICS)]
    assert len(lacking) == len(OF_METRICS)
    giver = ready.brokers.giver()
    await giver.take(lacking)
    environment(ready, "orchestrator")
    told = asyncio.get_running_loop().create_future()
    process = Process("orchestrator", wf.App(), read_settings(), announce=told.set_result)
    running = asyncio.ensure_future(process.run())
    try:
        await asyncio.wait({told, running}, timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
        assert not running.done(), running.exception()
        async with httpx.AsyncClient(base_url=told.result()["probes"], timeout=SECONDS) as http:
            answer = await http.get("/metrics")
            assert 'perdure_ready{service="orchestrator"} 1.0' in answer.text
            assert "perdure_lag_records{" in answer.text and "perdure_group_" not in answer.text
            await giver.give(lacking)
            async with asyncio.timeout(SECONDS):
                while "perdure_group_members{" not in (await http.get("/metrics")).text:
                    await asyncio.sleep(0.2)
    finally:
        process.stop()
        await running
        await giver.give(lacking)


async def test_a_growth_that_lacks_a_right_says_which_and_what_it_has_begun_is_gone_on_with(ready, environment):
    """Each is to one partition more. In one of the old ones something was decided, so that it is marked."""
    await ready.send("admin", {"history": [(b"", encode(BatchCommitted(0, 0)))]})
    environment(ready, "grow")
    settings, rights = read_settings(), [each for each in ready.needed() if each.user == "grow"]
    for partitions, right in enumerate(rights, start=3):
        await _refused_without_each(ready, [right], settings, partitions)
    assert (await asyncio.to_thread(_grown, settings, partitions)).partitions == partitions


def _grown(settings, partitions):
    return grown(settings, partitions, pass_on=True, tell=str)


async def _refused_without_each(cluster, rights, settings, partitions=0):
    giver = cluster.brokers.giver()
    for right in rights:
        await giver.take([right])
        with pytest.raises(PerdureError) as told:
            async with asyncio.timeout(SECONDS):
                await _begun(right.user, settings, partitions)
        said = str(told.value)
        assert right.name in said, (str(right), said)
        assert "perdure bootstrap --print" in said, (str(right), said)
        await giver.give([right])


async def _begun(user, settings, partitions):
    if user in SERVICES:
        announce = lambda told: pytest.fail(f"it is ready without a right: {told}")  # noqa: E731
        await Process(user, wf.App(), settings, announce=announce).run()
    elif user == "grow":
        await asyncio.to_thread(_grown, settings, partitions)
    else:
        await asyncio.to_thread(COMMANDS[user], settings)


async def test_somebody_of_another_namespace_sees_and_writes_nothing(ready):
    """With every right that there is, of all roles together, on a namespace of its own."""
    access = ready.plan()["access"]
    elsewhere = [{**each, "name": each["name"].replace(ready.namespace, f"{ready.namespace}b")} for each in access]
    giver = ready.brokers.giver()
    await giver.give(rights_in(elsewhere, users=["outsider"]))
    await _sees_and_writes_nothing(ready, "outsider")


async def test_somebody_without_a_right_sees_and_writes_nothing(ready):
    await _sees_and_writes_nothing(ready, "nobody")


async def _sees_and_writes_nothing(cluster, user):
    topics = Topics(cluster.namespace)
    log, known = log_of(cluster, user), log_of(cluster, "bootstrap")
    try:
        before = [await known.bounds(topic, 0) for topic in (topics.instances, topics.history)]
        for topic in (topics.instances, topics.history, topics.replies, topics.dead_letters):
            for asked in (
                log.partitions(topic),
                log.fetch(topic, 0, 0, 10),
                log.append([Outgoing(topic, 0, b"k", b"v")]),
                log.delete_before(topic, 0, 1),
            ):
                with pytest.raises(PortError, match=f"does not let this user .*{topic}"):
                    await asked
        with pytest.raises(PortError, match="does not let this user"):
            await log.open_writer(f"{cluster.namespace}.orchestrator.0.0")
        assert [await known.bounds(topic, 0) for topic in (topics.instances, topics.history)] == before
    finally:
        await log.close()
        await known.close()
    with pytest.raises((TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
        await cluster.send(user, {"instances": [(b"k", b"v")]})


async def test_in_cassandra_a_role_of_another_keyspace_sees_and_writes_nothing(ready, environment):
    ready.brokers.make_roles("outsider")
    other = ready.namespace + "b"
    ready.brokers.statements(
        f"CREATE KEYSPACE {other} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
        f"GRANT ALL PERMISSIONS ON KEYSPACE {other} TO outsider",
    )
    environment(ready, "timer", cassandra="outsider")
    with pytest.raises(PortError, match="does not let user 'outsider' do this: give it the grants"):
        await kafka_cassandra_ports(read_settings(), "timer", "test")
    assert Right("timer", "topic", f"{ready.namespace}.timers", False, "Read") in ready.rights()
