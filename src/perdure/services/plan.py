"""What `perdure bootstrap --print` tells those who own the clusters: topics, rights, producers and connections, CQL.

It connects to nothing. Rights are the least that a role works with; whoever grants more loses nothing but that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from perdure.core.names import Topics
from perdure.services.bootstrap import Wanted
from perdure.services.grants import grants_of
from perdure.services.layout import layout_topic

__all__ = ["Access", "Plan", "access_of", "make_plan"]


BEFORE_GRANTS = (
    "-- Rights in Cassandra (each role is a login of yours; that of bootstrap comes before all else: in a keyspace that you",
    "-- have made, CREATE on that one is enough; the others come after the tables)",
)


@dataclass(slots=True, frozen=True)
class Access:
    """One right: `principal` stands for whatever user the role runs as."""

    principal: str
    kind: str  # topic, group, transactional-id
    name: str
    prefixed: bool
    operations: str


@dataclass(slots=True, frozen=True)
class Plan:
    topics: list[dict[str, Any]]
    access: list[Access]
    connections: dict[str, str]
    cql: list[str]
    grants: list[str]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """For people; the commands of Kafka's own tools say it exactly."""
        told = ["# Topics"]
        for each in self.topics:
            settings = " ".join(f"--config {name}={value}" for name, value in each["settings"].items())
            told.append(
                f"kafka-topics.sh --create --if-not-exists --topic {each['name']} --partitions {each['partitions']} "
                f"--replication-factor {each['copies']} {settings}"
            )
        told += ["", "# Rights (User:… is the user that the role runs as)"]
        for right in self.access:
            pattern = "prefixed" if right.prefixed else "literal"
            operations = " ".join(f"--operation {each}" for each in right.operations.split(","))
            told.append(
                f"kafka-acls.sh --add --allow-principal User:{right.principal} --{right.kind} {right.name} "
                f"--resource-pattern-type {pattern} {operations}"
            )
        told += ["", "# Producers and connections"]
        told += [f"# {name}: {text}" for name, text in self.connections.items()]
        told += ["", "-- Cassandra"]
        told += [f"{statement};" for statement in self.cql]
        told += ["", *BEFORE_GRANTS]
        return [*told, *(f"{statement};" for statement in self.grants)]


def make_plan(
    topics: Topics, wanted: Sequence[Wanted], *, copies: int, partitions: int, keyspace: str, cql: list[str]
) -> Plan:
    listed = [
        {"name": each.name, "partitions": each.partitions, "copies": copies, "settings": dict(each.settings)}
        for each in wanted
    ]
    return Plan(listed, access_of(topics), _connections(partitions), cql, grants_of(keyspace))


def access_of(topics: Topics) -> list[Access]:
    """Kafka gives Describe with Read, Write, Delete and Alter, and DescribeConfigs with AlterConfigs: those are not told twice."""
    namespace, activities = topics.namespace, topics.activities()
    owner, worker, timer, gateway, subscriber = "orchestrator", "activity-worker", "timer", "gateway", "subscriber"
    roles = (owner, worker, timer, gateway, subscriber)
    rights = [
        Access(owner, "topic", topics.instances, False, "Read,Write,Delete"),
        Access(owner, "topic", topics.history, False, "Read,Write,Delete"),
        Access(owner, "topic", activities, True, "Write"),
        Access(owner, "topic", topics.timers, False, "Write"),
        Access(owner, "topic", topics.replies, False, "Write"),
        Access(owner, "topic", topics.dead_letters, False, "Read,Write,Delete"),
        Access(owner, "topic", topics.dead_letter_marks, False, "Read,Delete"),
        Access(owner, "group", f"{namespace}.orchestrator", False, "Read"),
        # What waits where nobody reads, it tells as metrics.
        Access(owner, "topic", topics.subscriptions, False, "Read"),
        Access(owner, "group", f"{namespace}.activity-worker", True, "Describe"),
        Access(owner, "group", f"{namespace}.subscription.", True, "Describe"),
        Access(owner, "transactional-id", f"{namespace}.orchestrator.", True, "Write"),
        Access(worker, "topic", activities, True, "Read,Write,Delete"),
        Access(worker, "topic", topics.instances, False, "Write"),
        Access(worker, "topic", topics.timers, False, "Write"),
        Access(worker, "topic", topics.dead_letters, False, "Write"),
        Access(worker, "group", f"{namespace}.activity-worker", True, "Read"),
        Access(timer, "topic", topics.timers, False, "Read,Delete"),
        Access(timer, "topic", topics.instances, False, "Write"),
        Access(timer, "topic", topics.dead_letters, False, "Write"),
        Access(timer, "group", f"{namespace}.timer", False, "Read"),
        # Dead letters: read, and sent again to where they came from, in a transaction with their mark.
        Access(gateway, "topic", topics.dead_letters, False, "Read"),
        Access(gateway, "topic", topics.dead_letter_marks, False, "Read,Write"),
        Access(gateway, "topic", activities, True, "Write"),
        Access(gateway, "topic", topics.timers, False, "Write"),
        Access(gateway, "transactional-id", f"{topics.dead_letters}.", True, "Write"),
        Access(subscriber, "topic", topics.subscriptions, False, "Read,Write"),
        Access(subscriber, "topic", topics.instances, False, "Write"),
        Access(subscriber, "topic", topics.dead_letters, False, "Write"),
        Access(subscriber, "group", f"{namespace}.subscription.", True, "Read"),
        Access(subscriber, "transactional-id", f"{namespace}.subscription", True, "Write"),
    ]
    # A client over the log asks as the gateway does; a producer of starts hears no answer.
    for client in (gateway, "client"):
        rights += [
            Access(client, "topic", topics.instances, False, "Write"),
            Access(client, "topic", topics.replies, False, "Read"),
            Access(client, "group", f"{namespace}.client.", True, "Read"),
        ]
    rights.append(Access("producer", "topic", topics.instances, False, "Write"))
    layout = layout_topic(topics)
    rights += [Access(role, "topic", layout, False, "Read") for role in (*roles, "client", "restore")]
    rights.append(Access("restore", "topic", topics.instances, False, "Write"))
    # verify_layout compares the counts of these, whoever starts.
    counted = (topics.instances, topics.history, topics.timers, activities)
    seen = {(right.principal, right.name) for right in rights}
    rights += [
        Access(role, "topic", topic, False, "Describe")
        for role in (*roles, "restore")
        for topic in counted
        if (role, topic) not in seen
    ]
    rights += _of_growth(topics)
    rights += _of_scaling(topics)
    # Who is a member, and what it reads, Kafka tells of groups that may be described.
    rights.append(Access("upgrade", "topic", layout, False, "Read,Write"))
    rights.append(Access("upgrade", "group", f"{namespace}.", True, "Describe"))
    rights.append(Access("bootstrap", "topic", f"{namespace}.", True, "Create,AlterConfigs,Read,Write"))
    return rights


def _of_growth(topics: Topics) -> list[Access]:
    """It looks whether an orchestrator runs, is one for each old partition's last marker, and grows every topic."""
    grow, alone = "grow", (topics.timers, topics.dead_letters, topics.dead_letter_marks)
    return [
        Access(grow, "topic", layout_topic(topics), False, "Read,Write"),
        Access(grow, "group", f"{topics.namespace}.orchestrator", False, "Describe"),
        Access(grow, "topic", topics.instances, False, "Read,Alter"),
        Access(grow, "topic", topics.history, False, "Read,Write,Alter"),
        Access(grow, "topic", topics.activities(), True, "Alter"),
        *(Access(grow, "topic", topic, False, "Alter") for topic in alone),
        Access(grow, "transactional-id", f"{topics.namespace}.orchestrator.", True, "Write"),
    ]


def _of_scaling(topics: Topics) -> list[Access]:
    """Of whoever scales by lag, as KEDA does: where groups stand, and where their topics end."""
    scaler, namespace = "scaler", topics.namespace
    return [
        *(Access(scaler, "topic", topic, False, "Describe") for topic in (topics.instances, topics.timers)),
        Access(scaler, "topic", topics.activities(), True, "Describe"),
        *(Access(scaler, "group", f"{namespace}.{role}", False, "Describe") for role in ("orchestrator", "timer")),
        *(
            Access(scaler, "group", f"{namespace}.{many}", True, "Describe")
            for many in ("activity-worker", "subscription.")
        ),
    ]


def _connections(partitions: int) -> dict[str, str]:
    return {
        "orchestrator": (
            f"one transactional producer for each partition it owns ({partitions} over all processes), one idempotent "
            f"producer, one consumer, one client; each keeps at most a connection to every broker and one to its "
            f"coordinator: at most ({partitions} + 3n) x (brokers + 1) for n processes"
        ),
        "activity-worker": "one idempotent producer, one consumer, one client: at most 3 x (brokers + 1) a process",
        "timer": "one idempotent producer, one consumer, one client: at most 3 x (brokers + 1) a process",
        "gateway": (
            "one idempotent producer, one consumer, one client: at most 3 x (brokers + 1) a process; while dead letters "
            "are replayed or dropped one transactional producer more for each of their partitions"
        ),
        "subscriber": (
            "one consumer for each subscription, one transactional producer for each partition of their topics that it owns "
            "and in which something happens, one client: each keeps at most (brokers + 1). It has to be given Read and "
            "Describe on the topics that are subscribed to, and so has whoever adds a subscription"
        ),
        "scaler": "the connections of KEDA, or whatever scales by lag. Where it scales subscribers, Describe on their topics, too",
        "cassandra": "one session a process: a connection to every node of the data centre, and a control connection",
    }
