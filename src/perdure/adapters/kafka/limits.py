"""Whether topics, brokers and this client agree on sizes, times and who deletes what. Asked at start and by bootstrap.

A broker that disagrees refuses later, in the middle of work, and then one record, one group or one transaction at a
time. Who may not read settings is told so and goes on: not every cluster lets its users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import DescribeConfigsRequest

from perdure.adapters.kafka.connection import Connection
from perdure.adapters.kafka.errors import reason, unreachable
from perdure.adapters.kafka.reader import METADATA_BYTES_MAX
from perdure.adapters.kafka.settings import KafkaSettings
from perdure.adapters.kafka.topics import topic_settings

__all__ = ["Findings", "check_limits"]

TOPIC, BROKER = 2, 4
AT_LEAST: Final = ("max.message.bytes", "min.insync.replicas")
SWEEP: Final = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
SWEEP_MS_MAX: Final = 1_000
WHY: Final = {
    "cleanup.policy": "compaction would lose events",
    "retention.ms": "nothing may be deleted by age: the engine deletes what it has stored",
    "retention.bytes": "nothing may be deleted by size: the engine deletes what it has stored",
    "max.message.bytes": "larger records are refused",
    "message.timestamp.type": "records are dated by the broker",
    "min.insync.replicas": "what is acknowledged may be lost with fewer copies",
    "unclean.leader.election.enable": "what is acknowledged may be lost",
}
FORBIDDEN = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)


@dataclass(slots=True)
class Findings:
    """Sentences. `wrong` has to be put right before anything runs; `notes` are worth knowing."""

    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Rule:
    """One setting of a broker."""

    name: str
    fits: Callable[[int], bool]
    needs: str


def broker_rules(settings: KafkaSettings) -> list[Rule]:
    """`replica.fetch.max.bytes` and `message.max.bytes` are not here: a topic's own limit goes before them."""
    session, transaction = settings.session_timeout_ms, settings.transaction_timeout_ms
    record = int(topic_settings(settings)["max.message.bytes"])
    return [
        Rule(
            "socket.request.max.bytes", lambda live: live >= 2 * record, f"{2 * record} or more, for one large record"
        ),
        Rule("transaction.max.timeout.ms", lambda live: live >= transaction, f"{transaction} or more"),
        Rule("offset.metadata.max.bytes", lambda live: live >= METADATA_BYTES_MAX, f"{METADATA_BYTES_MAX} or more"),
        Rule("group.min.session.timeout.ms", lambda live: live <= session, f"{session} or less"),
        Rule("group.max.session.timeout.ms", lambda live: live >= session, f"{session} or more"),
    ]


async def check_limits(connection: Connection, topics: Sequence[str]) -> Findings:
    """Topics that do not exist are left out. Raises LogUnavailable."""
    client = await connection.client()
    for topic in topics:
        await connection.look_up(topic)
    findings = Findings()
    nodes = sorted(broker.nodeId for broker in client.cluster.brokers())
    for node in nodes:
        live = await _describe(connection, node, BROKER, str(node), findings)
        _check_broker(connection.settings, node, live, findings)
    for topic in topics:
        live = await _describe(connection, nodes[0], TOPIC, topic, findings) if nodes else {}
        copies = [len(each.replicas) for each in client.cluster._partitions.get(topic, {}).values()]
        _check_topic(connection.settings, topic, live, min(copies, default=0), findings)
    return findings


def _check_broker(settings: KafkaSettings, node: int, live: Mapping[str, str], findings: Findings) -> None:
    for rule in broker_rules(settings):
        value = live.get(rule.name)
        if value is not None and not rule.fits(int(value)):
            findings.wrong.append(f"broker {node}: {rule.name} is {value} and has to be {rule.needs}")
    sweep = live.get(SWEEP)
    if sweep is not None and int(sweep) > SWEEP_MS_MAX:
        findings.notes.append(
            f"broker {node}: {SWEEP} is {sweep}: a dead process's open transaction holds up readers for so long; "
            f"{SWEEP_MS_MAX} is better"
        )


def _check_topic(settings: KafkaSettings, topic: str, live: Mapping[str, str], copies: int, findings: Findings) -> None:
    for name, needed in topic_settings(settings).items():
        value = live.get(name)
        if value is None or value == needed or (name in AT_LEAST and int(value) >= int(needed)):
            continue
        more = " or more" if name in AT_LEAST else ""
        findings.wrong.append(f"topic {topic}: {name} is {value} and has to be {needed}{more}: {WHY[name]}")
    insync = int(live.get("min.insync.replicas", 0))
    if insync > copies > 0:
        findings.wrong.append(
            f"topic {topic}: min.insync.replicas is {insync} and it has {copies} copies: nothing can be written"
        )


async def _describe(connection: Connection, node: int, kind: int, name: str, findings: Findings) -> dict[str, str]:
    what = f"topic {name}" if kind == TOPIC else f"broker {name}"
    client = await connection.client()
    try:
        async with connection.patience():
            answer: Any = await client.send(node, DescribeConfigsRequest([(kind, name, None)]))
    except KafkaError as error:
        raise unreachable(connection.settings.servers, error) from error
    code, _text, _kind, _name, entries = answer.resources[0]
    refusal = for_code(code)
    if issubclass(refusal, FORBIDDEN):
        findings.notes.append(f"{what}: this user may not read its settings, so they were not checked")
    elif code and not issubclass(refusal, UnknownTopicOrPartitionError):
        findings.notes.append(f"{what}: its settings could not be read ({reason(refusal())})")
    return {entry[0]: entry[1] for entry in entries if entry[1] is not None}
