"""Topics and brokers that do not fit are named, with what they have to be."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from perdure.adapters.kafka import KafkaLog
from perdure.adapters.kafka import limits as limits_module
from perdure.core.limits import RECORD_BYTES_MAX
from tests.integration.kafka.clusters import KafkaCluster

PATIENCE_S = 60
WRONG = {
    "cleanup.policy": "compact",
    "retention.ms": "3600000",
    "retention.bytes": "1000000",
    "max.message.bytes": "1000012",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "2",
}


async def create(cluster: KafkaCluster, name: str, **settings: str) -> str:
    topic = cluster.names.inside(name)
    admin = AIOKafkaAdminClient(**cluster.settings.client_options())
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=settings)])
    await admin.close()
    return topic


async def test_what_bootstrap_made_fits(cluster: KafkaCluster) -> None:
    findings = await cluster.log.inner.check_limits([cluster.names.inside("test.instances")])
    assert findings.wrong == []


@pytest.mark.parametrize("setting", WRONG)
async def test_a_setting_of_a_topic_that_does_not_fit_is_named(cluster: KafkaCluster, setting: str) -> None:
    topic = await create(cluster, "wrong", **({"min.insync.replicas": "1"} | {setting: WRONG[setting]}))
    async with asyncio.timeout(PATIENCE_S):  # until the broker knows what its controller has acknowledged
        findings = await cluster.log.inner.check_limits([topic])
        while not any(f"topic {topic}: {setting} is {WRONG[setting]} and " in fault for fault in findings.wrong):
            await asyncio.sleep(0.05)
            findings = await cluster.log.inner.check_limits([topic])
    if setting == "max.message.bytes":
        assert f"{RECORD_BYTES_MAX + 65536} or more" in "".join(findings.wrong)
    if setting == "min.insync.replicas":
        assert "it has 1 copies: nothing can be written" in "".join(findings.wrong)


@pytest.mark.parametrize(
    ("ours", "named"),
    [
        ({"session_timeout_ms": 100}, "group.min.session.timeout.ms is 300 and has to be 100 or less"),
        ({"session_timeout_ms": 10**9}, "group.max.session.timeout.ms is 1800000 and has to be 1000000000 or more"),
        ({"transaction_timeout_ms": 10**9}, "transaction.max.timeout.ms is 900000 and has to be 1000000000 or more"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_setting_of_the_broker_that_does_not_fit_is_named(
    cluster: KafkaCluster, ours: dict[str, int], named: str
) -> None:
    log = KafkaLog(replace(cluster.settings, **ours))
    findings = await log.check_limits([])
    await log.close()
    assert [fault for fault in findings.wrong if named in fault]


@pytest.mark.parametrize(("live", "named"), [
    ({"socket.request.max.bytes": "1000000"}, "socket.request.max.bytes is 1000000 and has to be 8519680 or more"),
    ({"offset.metadata.max.bytes": "1024"}, "offset.metadata.max.bytes is 1024 and has to be 4096 or more"),
])  # fmt: skip
def test_limits_of_brokers_that_are_too_low_are_named(live: dict[str, str], named: str) -> None:
    findings = limits_module.Findings()
    limits_module._check_broker(limits_module.KafkaSettings(("x:1",)), 1, live, findings)
    assert named in findings.wrong[0]
    assert findings.notes == []


def test_a_slow_sweep_of_dead_transactions_is_worth_a_note() -> None:
    findings = limits_module.Findings()
    limits_module._check_broker(limits_module.KafkaSettings(("x:1",)), 1, {limits_module.SWEEP: "10000"}, findings)
    assert findings.wrong == []
    assert "10000" in findings.notes[0]


@pytest.mark.parametrize(("code", "kind"), [(29, limits_module.TOPIC), (31, limits_module.BROKER)])
async def test_who_may_not_read_settings_is_told_so_and_goes_on(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch, code: int, kind: int
) -> None:
    class Answer:
        resources = ((code, "denied", kind, "x", ()),)

    client = await cluster.log.inner._connection.client()
    send = client.send

    async def deny(node, request, **options):
        asks = isinstance(request, limits_module.DescribeConfigsRequest)
        return Answer() if asks else await send(node, request, **options)

    monkeypatch.setattr(client, "send", deny)
    findings = await cluster.log.inner.check_limits([cluster.names.inside("test.instances")])
    assert findings.wrong == []
    assert all("may not read its settings" in note for note in findings.notes)
    assert findings.notes


async def test_a_topic_that_is_not_there_is_left_to_who_creates_it(cluster: KafkaCluster) -> None:
    findings = await cluster.log.inner.check_limits([cluster.names.inside("nowhere")])
    assert findings.wrong == []
