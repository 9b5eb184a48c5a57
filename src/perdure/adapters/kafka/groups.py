"""Where groups stand, asked by somebody who is no member: stored positions, members, and the ends of what they read.

Over the connection that its process has anyway. aiokafka's admin client would open another one, and takes an answer that
refuses a group's positions for one that has none.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.offset import OffsetRequest

from perdure.adapters.kafka.connection import (
    EARLIEST,
    LATEST,
    LEADER_POLL_SECONDS,
    READ_COMMITTED,
    Connection,
    leader_of,
    refresh,
)
from perdure.adapters.kafka.errors import unreachable
from perdure.adapters.kafka.records import Place

__all__ = ["KafkaGroups"]

T = TypeVar("T")


class KafkaGroups:
    """The port `Groups` on Kafka. Groups are described one in a request: of several in one, aiokafka 0.14 cannot read
    the answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def topics(self, prefix: str) -> list[str]:
        cluster = await self._ask(lambda client: client.fetch_all_metadata())
        return sorted(name for name in cluster.topics(exclude_internal_topics=False) if name.startswith(prefix))

    async def bounds(self, topics: Sequence[str]) -> dict[Place, tuple[int, int]]:
        places = [(topic, number) for topic in topics for number in range(await self._connection.count(topic))]
        starts, ends = await asyncio.gather(*(self._offsets(places, which) for which in (EARLIEST, LATEST)))
        return {place: (starts[place], ends[place]) for place in places}

    async def stored(self, group: str, topic: str) -> dict[int, int]:
        numbers = list(range(await self._connection.count(topic)))
        return await self._ask(lambda client: _stored(client, group, topic, numbers))

    async def members(self, group: str) -> int:
        return await self._ask(lambda client: _members(client, group))

    async def _offsets(self, places: Sequence[Place], which: int) -> dict[Place, int]:
        return await self._ask(lambda client: _offsets(client, places, which))

    async def _ask(self, question: Callable[[AIOKafkaClient], Awaitable[T]]) -> T:
        """Until it is answered or time is up: leaders and coordinators move."""
        await self._connection.client()  # connecting has its own time
        async with self._connection.patience():
            while True:
                client = await self._connection.client()
                try:
                    return await question(client)
                except KafkaError as error:
                    if not error.retriable:
                        raise unreachable(self._connection.settings.servers, error) from error
                await refresh(client)
                await asyncio.sleep(LEADER_POLL_SECONDS)


async def _stored(client: AIOKafkaClient, group: str, topic: str, numbers: list[int]) -> dict[int, int]:
    answer = await _of_coordinator(client, group, OffsetFetchRequest(group, [(topic, numbers)]))
    _check(answer.error_code, group)
    found = {}
    for name, partitions in answer.topics:
        for number, offset, _metadata, code in partitions:
            _check(code, name)
            if offset >= 0:
                found[number] = offset
    return found


async def _members(client: AIOKafkaClient, group: str) -> int:
    answer = await _of_coordinator(client, group, DescribeGroupsRequest([group]))
    count = 0
    for code, _group, _state, _type, _protocol, members, *_ in answer.groups:
        _check(code, group)
        count += len(members)
    return count


async def _of_coordinator(client: AIOKafkaClient, group: str, request: Any) -> Any:
    try:
        node = await client.coordinator_lookup(CoordinationType.GROUP, group)
        return await client.send(node, request)
    except GroupAuthorizationFailedError as error:
        raise GroupAuthorizationFailedError(group) from error


async def _offsets(client: AIOKafkaClient, places: Sequence[Place], which: int) -> dict[Place, int]:
    by_leader: defaultdict[int, defaultdict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for topic, number in places:
        by_leader[leader_of(client, topic, number)][topic].append((number, which))
    asked = (
        client.send(leader, OffsetRequest(-1, READ_COMMITTED, list(topics.items())))
        for leader, topics in by_leader.items()
    )
    found = {}
    for answer in await asyncio.gather(*asked):
        for topic, partitions in answer.topics:
            for number, code, *_, offset in partitions:
                _check(code, topic)
                found[topic, number] = int(offset)
    return found


def _check(code: int, what: str) -> None:
    if code:
        raise for_code(code)(what)
