from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from perdure.adapters.cassandra import CassandraSettings, Driver, create_schema, open_driver
from tests.integration.cassandra.clusters import CassandraCluster, settings_for


@pytest.fixture(scope="session")
def cassandra_settings(cassandra_address: str) -> CassandraSettings:
    """A keyspace of this process alone."""
    return settings_for(cassandra_address, f"t{os.getpid()}x{os.urandom(3).hex()}")


@pytest.fixture(scope="session")
def driver(cassandra_settings: CassandraSettings) -> Iterator[Driver]:
    async def begin() -> Driver:
        await create_schema(cassandra_settings, {"": 1})
        return await open_driver(cassandra_settings)

    opened = asyncio.run(begin())
    yield opened
    opened.session.execute(f"DROP KEYSPACE {cassandra_settings.keyspace}", timeout=60)
    asyncio.run(opened.close())


@pytest.fixture
async def cluster(driver: Driver, namespace: str) -> AsyncIterator[CassandraCluster]:
    """Real Cassandra; the log is one in memory."""
    made = CassandraCluster(driver, namespace)
    await made.open()
    await made.create_topics()
    yield made
    await made.close()
