"""Topics of somebody else, and what is in the log of them, read and written as any other program would."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from perdure.assembly import kafka_log
from perdure.codec.avro import decode
from perdure.core.names import Topics
from perdure.ports.log import Outgoing, TopicSpec
from perdure.services.settings import ServiceSettings


class Sources:
    """Of one namespace. Each call connects, does it, and leaves."""

    def __init__(self, cluster):
        given = {name: cluster.environ[f"PERDURE_{name.upper()}"] for name in ("log", "store", "namespace")}
        self.settings = ServiceSettings(**given, replication=1)
        self.topics = Topics(self.settings.namespace)

    def run(self, work):
        async def connected():
            log = await kafka_log(self.settings, "test-source")
            try:
                return await work(log)
            finally:
                await log.close()

        return asyncio.run(connected())

    def create(self, topic, partitions):
        self.run(lambda log: log.create_topics([TopicSpec(topic, partitions)]))

    def send(self, topic, messages):
        """(partition, key, value) each; a value that is no bytes is written as JSON."""
        records = [
            Outgoing(topic, partition, key, value if isinstance(value, bytes) else json.dumps(value).encode())
            for partition, key, value in messages
        ]
        self.run(lambda log: log.append(records))

    def written(self):
        """How often each message is in the log: commands by their command_id, dead letters by subscription and origin."""
        return self.run(self._written)

    async def _written(self, log):
        found = Counter()
        for topic in (self.topics.instances, self.topics.dead_letters):
            for number in range(await log.partitions(topic)):
                found.update([name async for name in self._named(log, topic, number)])
        return found

    async def _named(self, log, topic, number):
        offset = 0
        while records := await log.fetch(topic, number, offset, 1_000):
            for record in records:
                headers = dict(record.headers)
                if "perdure-subscription" in headers:
                    yield f"letter/{headers['perdure-subscription'].decode()}/{headers['perdure-origin'].decode()}"
                elif topic == self.topics.instances:
                    command_id = getattr(decode(record.value), "command_id", "")
                    if command_id.startswith("sub/"):
                        yield command_id
            offset = records[-1].offset + 1
