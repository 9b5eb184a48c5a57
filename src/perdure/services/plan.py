"""What `perdure bootstrap --print` tells those who own the clusters: topics, rights, producers and connections, CQL.

It connects to nothing. Rights are the least that a role works with; whoever grants more loses nothing but that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from perdure.core.names import Topics
from perdure.services.bootstrap import Wanted
from perdure.services.layout import layout_topic

__all__ = ["Access", "Plan", "access_of", "make_plan"]


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
        return [*told, *(f"{statement};" for statement in self.cql)]


def make_plan(topics: Topics, wanted: Sequence[Wanted], *, copies: int, partitions: int, cql: list[str]) -> Plan:
    listed = [
        {"name": each.name, "partitions": each.partitions, "copies": copies, "settings": dict(each.settings)}
        for each in wanted
    ]
    return Plan(listed, access_of(topics), _connections(partitions), cql)


def access_of(topics: Topics) -> list[Access]:
    namespace, activities = topics.namespace, topics.activities()
    owner, worker, timer, gateway = "orchestrator", "activity-worker", "timer", "gateway"
    rights = [
        Access(owner, "topic", topics.instances, False, "Read,Write,Delete,Describe"),
        Access(owner, "topic", topics.history, False, "Read,Write,Delete,Describe"),
        Access(owner, "topic", activities, True, "Write,Describe"),
        Access(owner, "topic", topics.timers, False, "Write,Describe"),
        Access(owner, "topic", topics.replies, False, "Write,Describe"),
        Access(owner, "topic", topics.dead_letters, False, "Read,Write,Delete,Describe"),
        Access(owner, "group", f"{namespace}.orchestrator", False, "Read,Describe"),
        Access(owner, "transactional-id", f"{namespace}.orchestrator.", True, "Write,Describe"),
        Access(worker, "topic", activities, True, "Read,Write,Delete,Describe"),
        Access(worker, "topic", topics.instances, False, "Write,Describe"),
        Access(worker, "topic", topics.timers, False, "Write,Describe"),
        Access(worker, "topic", topics.dead_letters, False, "Write,Describe"),
        Access(worker, "group", f"{namespace}.activity-worker", True, "Read,Describe"),
        Access(timer, "topic", topics.timers, False, "Read,Delete,Describe"),
        Access(timer, "topic", topics.instances, False, "Write,Describe"),
        Access(timer, "topic", topics.dead_letters, False, "Write,Describe"),
        Access(timer, "group", f"{namespace}.timer", False, "Read,Describe"),
        Access(gateway, "topic", topics.instances, False, "Write,Describe"),
        Access(gateway, "topic", topics.replies, False, "Read,Describe"),
        Access(gateway, "group", f"{namespace}.client.", True, "Read,Describe"),
        # Dead letters: read, and sent again to where they came from, in a transaction with their mark.
        Access(gateway, "topic", topics.dead_letters, False, "Read,Describe"),
        Access(gateway, "topic", topics.dead_letter_marks, False, "Read,Write,Describe"),
        Access(gateway, "topic", activities, True, "Write,Describe"),
        Access(gateway, "topic", topics.timers, False, "Write,Describe"),
        Access(gateway, "transactional-id", f"{topics.dead_letters}.", True, "Write,Describe"),
    ]
    layout = layout_topic(topics)
    rights += [Access(role, "topic", layout, False, "Read,Describe") for role in (owner, worker, timer, gateway)]
    # verify_layout compares the counts of these, whoever starts.
    counted = (topics.instances, topics.history, topics.timers, activities)
    described = {(right.principal, right.name) for right in rights}
    rights += [
        Access(role, "topic", topic, False, "Describe")
        for role in (owner, worker, timer, gateway)
        for topic in counted
        if (role, topic) not in described
    ]
    # Who is a member, and what it reads, Kafka tells of groups that may be described.
    rights.append(Access("upgrade", "topic", layout, False, "Read,Write,Describe"))
    rights.append(Access("upgrade", "group", f"{namespace}.", True, "Describe"))
    rights.append(
        Access("bootstrap", "topic", f"{namespace}.", True, "Create,Describe,DescribeConfigs,AlterConfigs,Read,Write")
    )
    return rights


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
        "cassandra": "one session a process: a connection to every node of the data centre, and a control connection",
    }
