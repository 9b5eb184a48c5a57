"""`perdure bootstrap` on real brokers, and what a service says of brokers that were not bootstrapped."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from perdure.assembly import kafka_settings
from perdure.services.kafka_topics import KafkaTopics
from perdure.services.settings import ServiceSettings


def outside(cluster):
    settings = ServiceSettings(log=cluster.environ["PERDURE_LOG"], store=cluster.environ["PERDURE_STORE"])
    return kafka_settings(settings, "test").client_options()


def complaint(done):
    return done.stderr.rstrip("\n").split("\n")[-1]


def test_a_second_run_confirms_and_a_check_agrees(bootstrapped):
    again = bootstrapped.perdure("bootstrap", "--development")
    assert (again.returncode, complaint(again)) == (0, "")
    assert "2 partitions" in again.stdout
    assert bootstrapped.perdure("bootstrap", "--check", "--development").returncode == 0
    names = [f"{bootstrapped.environ['PERDURE_NAMESPACE']}.{each}" for each in ("instances", "replies")]
    facts = asyncio.run(KafkaTopics(outside(bootstrapped)).facts(names))
    assert {name: facts[name].settings["retention.ms"] for name in names} == {names[0]: "-1", names[1]: "3600000"}
    assert facts[names[0]].partitions == 2


def test_a_check_on_empty_brokers_names_all_that_is_missing_and_makes_nothing(cluster):
    for _ in range(2):
        done = cluster.perdure("bootstrap", "--check", "--development")
        assert done.returncode == 4
        for part in (".instances does not exist", ".layout does not exist", "keyspace"):
            assert part in complaint(done)


def test_a_check_tells_that_more_copies_are_wanted_than_there_are(bootstrapped):
    done = bootstrapped.perdure("bootstrap", "--check")
    assert done.returncode == 4
    assert "has 1 copies, needs 3" in complaint(done)
    assert "min.insync.replicas=1, needs 2" in complaint(done)


def test_another_partition_count_is_refused_and_told(bootstrapped):
    done = bootstrapped.perdure("bootstrap", "--development", "--partitions", "3")
    assert done.returncode == 4
    assert "PERDURE_PARTITIONS=2" in complaint(done)


def test_a_topic_that_somebody_has_grown_stops_the_start(bootstrapped):
    async def grow():
        admin = AIOKafkaAdminClient(**outside(bootstrapped))
        await admin.start()
        await admin.create_partitions({f"{bootstrapped.environ['PERDURE_NAMESPACE']}.timers": NewPartitions(3)})
        await admin.close()

    asyncio.run(grow())
    service = bootstrapped.run("timer")
    assert service.ended() == 4
    assert ".timers has 3 partitions, 2 were recorded" in service.errors[-2]
    assert "Traceback" not in service.said


def test_a_service_on_brokers_without_topics_or_keyspace_says_what_to_do(cluster):
    service = cluster.run("orchestrator")
    assert service.ended() == 4
    assert "`perdure bootstrap`" in service.errors[-2]
    assert "Traceback" not in service.said


def test_servers_that_do_not_answer_are_named(cluster):
    services = {
        "127.0.0.1:9": cluster.run("timer", PERDURE_LOG="kafka://127.0.0.1:9"),
        "127.0.0.1:7": cluster.run("timer", PERDURE_STORE="cassandra://127.0.0.1:7/nowhere"),
    }
    for server, service in services.items():
        assert service.ended() == 4
        assert server in service.errors[-2]
        assert "Traceback" not in service.said


def test_a_topic_that_would_lose_records_stops_the_start_and_is_named_by_a_check(bootstrapped):
    history = f"{bootstrapped.environ['PERDURE_NAMESPACE']}.history"

    async def spoil():
        topics = KafkaTopics(outside(bootstrapped))
        settings = (await topics.facts([history]))[history].settings
        kept = ("max.message.bytes", "min.insync.replicas", "message.timestamp.type", "unclean.leader.election.enable")
        await topics.put(history, {name: settings[name] for name in kept} | {"retention.ms": "60000"})

    asyncio.run(spoil())
    service = bootstrapped.run("timer")
    assert service.ended() == 4
    assert f"topic {history} has retention.ms=60000, needs -1: records would be lost" in service.errors[-2]
    check = bootstrapped.perdure("bootstrap", "--check", "--development")
    assert check.returncode == 4
    assert f"topic {history} has retention.ms=60000, needs -1" in complaint(check)
