"""Kafka as a cluster of the conformance suite, and clients that can be killed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from aiokafka.admin import AIOKafkaAdminClient

from perdure.adapters.kafka import KafkaLog, KafkaSettings
from perdure.adapters.memory import MemoryHistoryStore, MemoryTimerStore
from tests.conformance.clusters import Cluster
from tests.conformance.facts import until
from tests.integration.kafka.renaming import Names, RenamedLog, RenamedMembership


def settings_for(address: str) -> KafkaSettings:
    """Short sessions and quick heartbeats: a test waits for a member to be thrown out."""
    return KafkaSettings(
        (address,), replication=1, insync_min=1, session_timeout_ms=1_500, heartbeat_interval_ms=100,
        lazy_commit_interval_ms=200, fetch_wait_ms=50,
    )  # fmt: skip


async def kill(log: KafkaLog) -> None:
    """As if the process had died: no good-bye to groups, open transactions stay open, nobody is told."""
    log._closing = asyncio.get_running_loop().create_future()
    log._closing.set_result(None)
    for member in log._members:
        member._drop_readers()
        if member._pump is not None:
            member._pump.cancel()
        await member._consumer.cut_off()
    producers = [writer._producer for writer in log._writers]
    if log._appender._producer is not None:
        producers.append(log._appender._producer)
    for producer in producers:
        producer._closed = True
        if producer._sender.sender_task is not None:
            producer._sender.sender_task.cancel()
        await producer.client.close()
    await log._connection.close()


async def delete_topics(address: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    names = [name for name in await admin.list_topics() if name.startswith(prefix)]
    if names:
        await admin.delete_topics(names)
    await admin.close()


class KafkaCluster(Cluster):
    """Only the log is Kafka's; the suite asks its clusters for stores, too."""

    def __init__(self, address: str, namespace: str) -> None:
        self.settings = settings_for(address)
        self.names = Names(f"{namespace}-")
        self.store = MemoryHistoryStore()
        self.timers = MemoryTimerStore()
        self._clients: list[KafkaLog] = []

    async def open(self) -> None:
        self.log = self.client()

    def shorten_sessions(self, seconds: float) -> None:
        self.settings = replace(self.settings, session_timeout_ms=max(300, int(seconds * 1000)))
        self._clients[0].settings = self.settings
        self._clients[0]._connection.settings = self.settings

    def client(self) -> RenamedLog:
        self._clients.append(KafkaLog(replace(self.settings, client_id=f"client-{len(self._clients)}")))
        return RenamedLog(self._clients[-1], self.names)

    async def crash(self) -> None:
        await asyncio.gather(*map(kill, self._clients))
        # What the dead acknowledged may become visible a moment later; the suite looks at once.
        committed = [log._connection._committed for log in self._clients]
        self._clients.clear()
        await self.open()
        for ends in committed:
            self._clients[0]._connection.note_committed(ends)

    async def reopen(self) -> None:
        await self.close_clients()
        await self.open()

    async def lazy_is_stored(self, membership: RenamedMembership) -> None:
        """Within a second, not with a later write."""
        positions = membership.inner._positions
        await until(lambda: not positions._waiting)
        async with positions._turn:  # what is being stored has been stored
            pass

    async def close(self) -> None:
        await self.close_clients()
        await delete_topics(self.settings.servers[0], self.names.prefix)

    async def close_clients(self) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))
        self._clients.clear()
