"""Cassandra's stores beside a log in memory, as a cluster of the conformance suite."""

from __future__ import annotations

from perdure.adapters.cassandra import (
    CassandraHistoryStore,
    CassandraSettings,
    CassandraTimerStore,
    Driver,
    open_driver,
)
from tests.conformance.clusters import MemoryCluster


def settings_for(address: str, keyspace: str) -> CassandraSettings:
    host, _, port = address.rpartition(":")
    return CassandraSettings(((host, int(port)),), keyspace, consistency="LOCAL_ONE", request_timeout_s=20.0)


class CassandraCluster(MemoryCluster):
    """A crash loses what the stores hold in memory; `reopen` connects anew. Tests are told apart by namespaces."""

    def __init__(self, driver: Driver, namespace: str) -> None:
        super().__init__()
        self.namespace = namespace
        self.driver = driver
        self._settings = driver.settings
        self._own: Driver | None = None

    async def open(self) -> None:
        await super().open()
        driver = self._own or self.driver
        self.store = CassandraHistoryStore(driver, self.namespace)
        self.timers = CassandraTimerStore(driver, self.namespace)

    async def reopen(self) -> None:
        await self.close()
        self._own = await open_driver(self._settings)
        await self.open()

    async def close(self) -> None:
        await super().close()
        if self._own is not None:
            await self._own.close()
            self._own = None
