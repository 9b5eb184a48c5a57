"""What all engines of a test worker that run on real brokers stand on.

A keyspace for each test worker, because tables are slow to make; topics for each engine, because every row and every
topic begins with its namespace.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from perdure.adapters import cassandra
from perdure.adapters.kafka import KafkaLog, KafkaSettings
from perdure.assembly import cassandra_settings, topic_specs
from perdure.client.portal import ThreadPortal
from perdure.core.names import Topics
from perdure.ports.log import TopicSpec
from perdure.services.bootstrapping import bootstrapped
from perdure.services.layout import Layout, layout_topic, record_layout
from perdure.services.settings import ServiceSettings
from tests.acceptance.forked import Forked

PARTITIONS = 2


class Ground:
    """Brokers, a keyspace, and a loop for what no user does."""

    def __init__(self, kafka_address: str, cassandra_address: str, folder: Path) -> None:
        self._kafka = kafka_address
        self._cassandra = cassandra_address
        self._keyspace = f"acceptance_{os.getpid()}_{os.urandom(3).hex()}"
        self.folder = folder
        self._in_a_child("bootstrap", self._bootstrap)
        self.portal = ThreadPortal()

    def settings(self, namespace: str) -> ServiceSettings:
        return ServiceSettings(
            log=f"kafka://{self._kafka}", store=f"cassandra://{self._cassandra}/{self._keyspace}", namespace=namespace,
            partitions=PARTITIONS, replication=1, health_port=0,
        )  # fmt: skip

    async def make_topics(self, topics: Topics) -> KafkaLog:
        """What bootstrap makes, without tables. Returns the way to them."""
        log = KafkaLog(KafkaSettings((self._kafka,), replication=1, insync_min=1))
        await log.create_topics([*topic_specs(topics, PARTITIONS), TopicSpec(layout_topic(topics), 1)])
        await record_layout(log, topics, Layout(PARTITIONS))
        return log

    async def drop_topics(self, topics: Topics) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        await admin.start()
        try:
            names = [each.name for each in topic_specs(topics, PARTITIONS)]
            await admin.delete_topics([*names, layout_topic(topics)])
        finally:
            await admin.close()

    def close(self) -> None:
        self.portal.call(self.drop_topics, Topics(self._keyspace))
        self.portal.close()
        self._in_a_child("drop", lambda: asyncio.run(self._drop_keyspace()))

    def _in_a_child(self, name: str, work: Callable[[], None]) -> None:
        """Cassandra's driver leaves threads behind, which processes that are forked later should not inherit."""
        child = Forked(name, self.folder / f"{name}.log", lambda announce: announce({"done": repr(work())}))
        try:
            child.ready()
            assert child.ended() == 0, child.said
        finally:
            child.close()

    def _bootstrap(self) -> None:
        faults = bootstrapped(self.settings(self._keyspace), (), development=True, check=False)
        assert faults == [], faults

    async def _drop_keyspace(self) -> None:
        driver = await cassandra.open_driver(cassandra_settings(self.settings(self._keyspace)))
        await asyncio.to_thread(driver.session.execute, f"DROP KEYSPACE {self._keyspace}", timeout=60)
        await driver.close()
