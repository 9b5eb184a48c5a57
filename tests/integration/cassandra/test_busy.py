"""More bytes at once than the socket takes: they wait in this process, and no request is refused."""

from __future__ import annotations

import asyncio
import os

from perdure.core.limits import PAYLOAD_BYTES_MAX
from perdure.ports.store import StoredEvent, StoredTurn
from tests.conformance.facts import row
from tests.integration.cassandra.clusters import CassandraCluster

INSTANCES = 24
VALUE = os.urandom(PAYLOAD_BYTES_MAX)  # nothing packs it


def large(instance_id: str) -> StoredTurn:
    return StoredTurn(row(instance_id, last_seq=1), [StoredEvent(1, VALUE)])


def connections(cluster: CassandraCluster) -> list[object]:
    return [connection for pool in cluster.driver.session.get_pools() for connection in pool.get_connections()]


async def test_large_payloads_at_once_are_stored_by_the_first_try(cluster: CassandraCluster) -> None:
    names = [f"i{number}" for number in range(INSTANCES)]
    await cluster.store.append(0, 1, 1, [large(name) for name in names])
    for name in names:
        assert (await cluster.store.load([name]))[name].events == [StoredEvent(1, VALUE)]


async def test_appends_of_several_partitions_at_once_leave_no_stream_id_behind(cluster: CassandraCluster) -> None:
    appends = [cluster.store.append(number, 1, 1, [large(f"p{number}"), large(f"q{number}")]) for number in range(12)]
    await asyncio.gather(*appends)
    assert {connection.in_flight for connection in connections(cluster)} == {0}  # type: ignore[attr-defined]
