"""Cassandra's stores beside a log in memory, as a cluster of the conformance suite."""

from __future__ import annotations

from perdure.adapters.cassandra import (
    CassandraHistoryStore,
    CassandraSettings,
    CassandraTimerStore,
    Driver,
    open_driver,
)
from tests.conformance.clusters import MemoryCluster, SteppingClock


def settings_for(address: str, keyspace: str) -> CassandraSettings:
    host, _, port = address.rpartition(":")
    return CassandraSettings(((host, int(port)),), keyspace, consistency="LOCAL_ONE", request_timeout_s=20.0)


class CassandraCluster(MemoryCluster):
    """A crash loses what the stores hold in memory; `reopen` connects anew. Tests are told apart by namespaces."""

    def __init__(self, driver: Driver, namespace: str) -> None:
        super().__init__()
        self.namespace = namespace
        self.clock = SteppingClock()
        self._given = self.driver = driver

    async def open(self) -> None:
        await super().open()
        self.store = CassandraHistoryStore(self.driver, self.namespace)
        self.timers = CassandraTimerStore(self.driver, self.namespace, self.clock)

    async def reopen(self) -> None:
        settings = self.driver.settings
        await self.close()
        self.driver = await open_driver(settings)
        await self.open()

    async def close(self) -> None:
        await super().close()
        if self.driver is not self._given:
            await self.driver.close()
            self.driver = self._given
