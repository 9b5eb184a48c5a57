"""Brokers that go away under a process, and come back. On a broker of these tests' own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from perdure.adapters.kafka import KafkaLog
from perdure.ports.errors import CommitFailed, CommitUnknown, LogUnavailable, NotAssigned, PortError
from tests.brokers.private import PrivateBroker, private_kafka
from tests.conformance.clusters import TOPICS
from tests.conformance.facts import Listener, out, values
from tests.integration.kafka.clusters import KafkaCluster
from tests.integration.kafka.under_load import PATIENCE_S, Load

pytestmark = [pytest.mark.brokers, pytest.mark.slow]

DOWN_S = 15  # longer than the sessions of members, and than any time-out for an answer
CLOSED_WITHIN_S = 20  # its bound is 5 s; a hanging broker would hold an unbounded one for ever


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    # A killed broker may come back once its controller has given it up.
    with private_kafka(tmp_path_factory.mktemp("restarts"), broker_session_timeout_ms="4000") as broker:
        yield broker


@pytest.fixture
def broker(started: PrivateBroker) -> Iterator[PrivateBroker]:
    """Running, before each test and after it."""
    yield started
    started.resume()
    started.start()


@pytest.fixture
async def cluster(broker: PrivateBroker, namespace: str) -> AsyncIterator[KafkaCluster]:
    made = KafkaCluster(broker.address, namespace)
    await made.open()
    await made.create_topics()
    yield made
    await made.close_clients()


async def in_thread(call) -> None:
    await asyncio.to_thread(call)


async def under_load(cluster: KafkaCluster) -> Load:
    load = Load(cluster.log)
    await load.start()
    await load.everything_moves()
    return load


async def at_last(call: Callable[[], Awaitable[Any]]) -> Any:
    """As roles do: a broker that hung needs some seconds until it answers in time, and is asked again until then."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await call()
            except (LogUnavailable, NotAssigned, CommitFailed, CommitUnknown):
                await asyncio.sleep(0.2)


@pytest.mark.parametrize(("how", "down_s"), [("stopped", DOWN_S), ("killed", 0)])
async def test_everything_goes_on_by_itself_when_the_broker_is_back(
    cluster: KafkaCluster, broker: PrivateBroker, how: str, down_s: int
) -> None:
    load = await under_load(cluster)
    await in_thread(broker.stop if how == "stopped" else broker.kill)
    await asyncio.sleep(down_s)
    await in_thread(broker.start)
    await load.everything_moves()
    assert load.troubles or not down_s, "it was away for longer than any wait for an answer"
    await load.stop()


async def test_everything_goes_on_when_a_broker_that_hung_goes_on(cluster: KafkaCluster, broker: PrivateBroker) -> None:
    load = await under_load(cluster)
    broker.pause()
    await load.until(lambda: len(load.troubles) >= 3)
    broker.resume()
    await load.everything_moves()
    await load.stop()


async def test_a_log_is_closed_though_the_broker_hangs_and_a_new_one_works_beside_what_is_left_of_it(
    cluster: KafkaCluster, broker: PrivateBroker
) -> None:
    load = await under_load(cluster)
    inner = cluster._clients[0]
    writer = await cluster.log.open_writer("another")
    broker.pause()
    commit = asyncio.ensure_future(writer.commit([out("under way", 2, TOPICS.history)]))
    await load.until(lambda: bool(load.troubles))
    await asyncio.wait_for(inner.close(), CLOSED_WITHIN_S)
    with pytest.raises(PortError):
        await asyncio.wait_for(commit, CLOSED_WITHIN_S)
    await load.abandon()
    broker.resume()
    cluster._clients.remove(inner)
    again = cluster.client()
    membership = await at_last(lambda: again.join("load", [TOPICS.instances], Listener()))
    await at_last(lambda: again.append([out("from the new one", 2)]))

    async def first_read() -> list[str]:  # the group may let go of who was abandoned just now, and divide again
        return values(await asyncio.wait_for(membership.reader(TOPICS.instances, 2).read(1), PATIENCE_S))

    assert await at_last(first_read) == ["from the new one"]

    async def committed() -> None:
        writer = await again.open_writer("load")
        await writer.commit([out("committed", 2)])

    await at_last(committed)


@pytest.mark.parametrize("state", ["stopped", "hanging"])
async def test_a_log_that_finds_nobody_says_so_and_closes(
    cluster: KafkaCluster, broker: PrivateBroker, state: str
) -> None:
    if state == "stopped":
        await in_thread(broker.stop)
    else:
        broker.pause()
    log = KafkaLog(cluster.settings)
    with pytest.raises(LogUnavailable, match="PERDURE_LOG"):
        await asyncio.wait_for(log.connect(), PATIENCE_S)
    with pytest.raises(LogUnavailable):
        await asyncio.wait_for(log.open_writer("w"), PATIENCE_S)
    await asyncio.wait_for(log.close(), CLOSED_WITHIN_S)
