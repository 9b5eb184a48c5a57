"""Strangers in the world: what they publish of a scenario, the registry they registered their schemas with, and sources."""

from __future__ import annotations

import asyncio

from perdure.core.names import partition_of
from perdure.ports.errors import CommitFailed
from perdure.ports.log import Outgoing, TopicSpec
from perdure.ports.registry import RegistryUnavailable, SchemaRegistry, SchemaUnknown
from perdure.roles.subscriptions.register import Declared
from perdure.roles.subscriptions.subscription import subscription_of
from tests.simulation.framings import COMMAND_ID, JSON, REGISTRY, UNKNOWN_SCHEMA, framed
from tests.simulation.world.network import JOURNEY_S

AGAIN_S = 0.5
SILENCE_S = 2.0


class Strangers:
    """`begin` publishes it all, each at its time. A partition that is full is tried again: strangers lose nothing either."""

    def __init__(self, world):
        self.world = world
        self.waiting = 0  # for a partition that is full

    def begin(self):
        for message in self.world.scenario.get("published", ()):
            for after in (0.0, *message.get("copies", ())):
                self.world.later(message["at"] + after, self._publish, message)
        source = self.world.scenario.get("source")
        for message in source["messages"] if source else ():
            record = Outgoing(source["topic"], message["partition"], b"", message["value"].encode())
            self.world.later(message["at"], self._append, record)

    def _publish(self, message):
        key, count = message["instance"].encode(), self.world.partitions
        value, headers = record_of(message)
        partition = (partition_of(message["instance"], count) + message.get("astray", 0)) % count
        if message.get("garbage"):
            self.world.poison.append(value)
        self._append(Outgoing(f"{self.world.settings.namespace}.instances", partition, key, value, headers))

    def _append(self, record):
        world = self.world
        if world.over:
            return
        try:
            world.broker.append([record], "stranger")
        except CommitFailed:
            world.later(AGAIN_S, self._append, record)
            return
        world.trace("stranger", "publishes", record.topic, record.partition, record.key.decode(), len(record.value))


def record_of(message):
    """(value, headers) of a message of the scenario."""
    fields, garbage = message["fields"], message.get("garbage")
    value, headers = framed(message["framing"], message["command"], fields)
    if message.get("header_id"):
        headers = (*headers, (COMMAND_ID, message["header_id"].encode()))
    return (value, headers) if garbage is None else _SPOILT[garbage](value, headers)


_SPOILT = {
    "broken": lambda value, headers: (value[:-3], headers),
    "unknown field": lambda value, headers: (value[:-1] + b', "colour": 1}', headers),
    "wrong type": lambda value, headers: (value.replace(b'"go"', b"7"), headers),
    "twice": lambda value, headers: (value[:-1] + b', "name": "go"}', headers),
    "no number": lambda value, headers: (value.replace(b"null", b"NaN"), headers),
    "no object": lambda value, headers: (b"[" + value + b"]", headers),
    "another charset": lambda value, headers: (value, ((JSON[0], JSON[1] + b"; charset=latin-1"),)),
    "contradicts": lambda value, headers: (value, (*headers, (COMMAND_ID, b"another"))),
    "two headers": lambda value, headers: (value, ((COMMAND_ID, b"one"), (COMMAND_ID, b"two"))),
    "cut": lambda value, headers: (value[:-2], headers),
    "longer": lambda value, headers: (value + b"?", headers),
    "short": lambda value, headers: (value[:3], headers),
    "unknown schema": lambda value, headers: (b"\0" + UNKNOWN_SCHEMA.to_bytes(4, "big") + value[5:], headers),
    "unfit schema": lambda value, headers: (b"\0" + (3).to_bytes(4, "big") + value[5:], headers),
}


class Registry(SchemaRegistry):
    """As one process has it. What is the matter with it is the world's: `away`, `forgets`, `slow`."""

    def __init__(self, host):
        self._host = host

    async def schema(self, schema_id):
        host, troubles = self._host, self._host.world.registry_troubles
        pause = 1.5 if "slow" in troubles else JOURNEY_S
        await asyncio.sleep(host.random.random() * pause)
        if "away" in troubles:
            await asyncio.sleep(host.random.random() * SILENCE_S)
            raise RegistryUnavailable("the registry did not answer in time")
        if schema_id not in REGISTRY or "forgets" in troubles:
            raise SchemaUnknown(f"the registry has no schema {schema_id}")
        return REGISTRY[schema_id]

    async def close(self):
        pass


def declare(world, topics):
    """The source of a scenario, and the subscriptions to it."""
    source = world.scenario["source"]
    world.broker.create_topics([TopicSpec(topics.subscriptions, 1), TopicSpec(source["topic"], source["partitions"])])
    for number, (name, fields) in enumerate(source["subscriptions"].items()):
        value = Declared(subscription_of(name, fields, topics), f"0-{number}", {}).value()
        world.broker.append([Outgoing(topics.subscriptions, 0, name.encode(), value)], "bootstrap")


def unread(world, topics):
    """What subscriptions have not taken: (subscription, partition, position, end)."""
    source = world.scenario.get("source")
    for name in source["subscriptions"] if source else ():
        for partition in world.broker.topics[source["topic"]]:
            at = world.broker.committed(f"{topics.namespace}.subscription.{name}", source["topic"], partition.partition)
            if any(each.record.offset >= at.offset for each in partition.committed()):
                yield name, partition.partition, at.offset, partition.end
