"""The client below all reads: given up when it does not answer, and what the next one has to know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient

from perdure.adapters.kafka.connection import Connection
from perdure.adapters.kafka.groups import KafkaGroups
from perdure.ports.errors import LogClosed, LogUnavailable
from perdure.ports.log import TopicSpec
from tests.integration.kafka.clusters import KafkaCluster

PATIENCE_S = 60
NAMES = ("one", "another", "third")


@pytest.fixture
async def topics(cluster: KafkaCluster) -> list[str]:
    await cluster.log.create_topics([TopicSpec(name, 2) for name in NAMES])
    return [cluster.names.inside(name) for name in NAMES]


@pytest.fixture
async def connection(cluster: KafkaCluster) -> AsyncIterator[Connection]:
    made = Connection(replace(cluster.settings, answer_timeout_ms=1_000))
    yield made
    await made.close()


Question = Callable[[Connection, str], Awaitable[object]]


async def bounds(connection: Connection, topic: str) -> object:
    return await connection.bounds(topic, 1)


async def fetch(connection: Connection, topic: str) -> object:
    return await connection.fetch(topic, 1, 0)


async def delete_before(connection: Connection, topic: str) -> object:
    return await connection.delete_before(topic, 1, 0)


async def bounds_of_groups(connection: Connection, topic: str) -> object:
    return await KafkaGroups(connection).bounds([topic])


QUESTIONS = [bounds, fetch, delete_before, bounds_of_groups]


async def at_last(ask: Question, connection: Connection, topic: str) -> None:
    """As roles do: asked again until there is an answer."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await ask(connection, topic)
                return
            except LogUnavailable:
                pass


@pytest.mark.parametrize("ask", QUESTIONS)
async def test_a_new_client_finds_the_leaders_of_topics_that_the_one_before_knew(
    connection: Connection, topics: list[str], ask: Question
) -> None:
    for topic in topics[:2]:
        await at_last(ask, connection, topic)
    before = await connection.client()
    connection._discard(before)
    assert await connection.look_up(topics[2]) == 2, "the new client asks for a topic, and for that alone"
    assert await connection.client() is not before
    for topic in topics:
        await at_last(ask, connection, topic)


async def never(*_: object, **__: object) -> Any:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("ask", QUESTIONS)
async def test_a_client_that_does_not_answer_in_time_is_not_asked_again(
    connection: Connection, topics: list[str], ask: Question
) -> None:
    await at_last(ask, connection, topics[0])
    deaf = await connection.client()
    deaf.send = never
    with pytest.raises(LogUnavailable):
        await asyncio.wait_for(ask(connection, topics[0]), PATIENCE_S)
    assert await connection.client() is not deaf
    await at_last(ask, connection, topics[0])


async def test_who_waits_goes_on_with_the_new_client_when_another_has_given_up_theirs(
    connection: Connection, topics: list[str]
) -> None:
    connection.settings = replace(connection.settings, answer_timeout_ms=PATIENCE_S * 1_000)
    await connection.bounds(topics[0], 0)
    client: AIOKafkaClient = await connection.client()
    client.cluster.leader_for_partition = lambda _: None
    waiting = asyncio.ensure_future(connection.bounds(topics[0], 0))
    await asyncio.sleep(0)
    connection._discard(client)
    assert await asyncio.wait_for(waiting, PATIENCE_S / 2) == (0, 0)


async def test_who_does_not_see_what_it_has_committed_is_told_so(connection: Connection, topics: list[str]) -> None:
    connection.note_committed({(topics[0], 0): 7})
    with pytest.raises(LogUnavailable, match="up to 7"):
        await asyncio.wait_for(connection.bounds(topics[0], 0), PATIENCE_S)
    with pytest.raises(LogUnavailable, match="up to 7"):
        await asyncio.wait_for(connection.fetch(topics[0], 0, 0), PATIENCE_S)


@pytest.mark.parametrize("ask", QUESTIONS)
async def test_a_client_that_nobody_has_the_patience_to_wait_for_is_not_asked_for_ever(
    connection: Connection, topics: list[str], ask: Question
) -> None:
    await at_last(ask, connection, topics[0])
    deaf = await connection.client()
    deaf.send = never
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with asyncio.timeout(0.4):
                    await ask(connection, topics[0])
                break
            except TimeoutError:
                pass
    assert await connection.client() is not deaf


async def test_a_topic_that_is_asked_for_while_metadata_are_on_their_way_is_found(
    connection: Connection, topics: list[str]
) -> None:
    assert await connection.look_up(topics[0]) == 2
    client = await connection.client()
    under_way, go_on = asyncio.Event(), asyncio.Event()
    (broker,) = client._conns.values()
    send = broker.send

    async def slowly(request: Any, **more: Any) -> Any:
        answer = await send(request, **more)
        under_way.set()
        await go_on.wait()
        return answer

    broker.send = slowly
    client.force_metadata_update()
    await asyncio.wait_for(under_way.wait(), PATIENCE_S)
    looking = asyncio.ensure_future(connection.look_up(topics[1]))
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.wait_for(looking, PATIENCE_S) == 2


async def test_who_asks_while_the_connection_is_closed_makes_no_new_one(
    connection: Connection, topics: list[str]
) -> None:
    await connection.bounds(topics[0], 0)
    client = await connection.client()
    client.cluster.leader_for_partition = lambda _: None
    waiting = asyncio.ensure_future(connection.bounds(topics[0], 0))
    await asyncio.sleep(0.1)
    await connection.close()
    with pytest.raises(LogClosed):
        await asyncio.wait_for(waiting, PATIENCE_S)
    assert connection._client is None
