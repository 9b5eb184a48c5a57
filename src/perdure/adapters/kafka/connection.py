"""Requests to the leaders of partitions, outside of any group or transaction: metadata, offsets, records.

aiokafka's consumer reads what it is assigned; there is no call for "these records, now, and tell me where the end is".
The protocol has one, and this sends it through aiokafka's client, which keeps the connections and their security.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    OffsetOutOfRangeError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import DeleteRecordsRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import TopicPartition

from perdure.adapters.kafka.clients import close_client, mend
from perdure.adapters.kafka.errors import forbidden, refused, topic_missing, unreachable
from perdure.adapters.kafka.records import Place
from perdure.adapters.kafka.refusals import why_refused
from perdure.adapters.kafka.settings import KafkaSettings
from perdure.ports.errors import Forbidden, LogClosed, LogUnavailable

__all__ = ["FETCH_BYTES_MAX", "FETCH_ONE_BYTES", "READ_COMMITTED", "Connection", "leader_of", "refresh"]

READ_COMMITTED = 1
EARLIEST, LATEST = -2, -1
FETCH_BYTES_MAX = 8 * 1024 * 1024  # of one answer; a larger first batch comes whole all the same
FETCH_ONE_BYTES = 16 * 1024  # where one record is wanted
LEADER_POLL_SECONDS = 0.02
LEADER_POLL_SECONDS_MAX = 0.3
METADATA_SECONDS_MAX = 1.0
COMMIT_POLL_SECONDS = 0.001
ASKED_MAX = 2  # times about a topic: the first answer may be to an update that was under way and did not ask for it


class Connection:
    """A client that is connected at first use. Topics that it has seen keep their partition count.

    The law: a client that has not answered in time is never asked again. It may wait for a server that is gone, and then
    nothing but another client helps. The time goes on when whoever asked has gone: all that ask may have less patience.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self._client: AIOKafkaClient | None = None
        self._owes_since: float | None = None  # an answer to the first question after its last one
        self._closed = False
        self._endings: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Lock()
        self._counts: dict[str, int] = {}
        self._committed: dict[Place, int] = {}

    async def client(self) -> AIOKafkaClient:
        """Raises LogUnavailable if no server answers, LogClosed."""
        async with self._opening:
            if self._owes_since is not None and self._now() - self._owes_since > self.settings.answer_timeout_s:
                self._discard(self._client)
            if self._client is None and not self._closed:
                self._client, self._owes_since = await self._connect(), None
            if self._client is None or self._closed:
                self._discard(self._client)
                raise LogClosed(f"the connection of {self.settings.client_id} was closed")
            return self._client

    async def _connect(self) -> AIOKafkaClient:
        client = AIOKafkaClient(**self.settings.client_options())
        mend(client)
        connected = False
        try:
            async with asyncio.timeout(self.settings.answer_timeout_s):
                await client.bootstrap()
            connected = True
        except (KafkaError, TimeoutError) as error:
            why = await why_refused(self.settings)
            raise (refused(self.settings.servers, why) if why else unreachable(self.settings.servers, error)) from error
        finally:
            if not connected:
                await close_client(client)
        return client

    async def close(self) -> None:
        self._closed = True
        self._discard(self._client)
        if self._endings:
            await asyncio.wait(self._endings)

    def _discard(self, client: AIOKafkaClient | None) -> None:
        """The next request connects anew, by the servers that were given: those known by now may all be gone."""
        if client is not None and client is self._client:
            self._client = self._owes_since = None
            ending = asyncio.get_running_loop().create_task(close_client(client))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    def known_count(self, topic: str) -> int | None:
        return self._counts.get(topic)

    async def count(self, topic: str) -> int:
        """Partitions of the topic. Raises TopicMissing, LogUnavailable."""
        if topic not in self._counts:
            found = await self.look_up(topic)
            if found is None:
                raise topic_missing(topic)
            self._counts[topic] = found
        return self._counts[topic]

    async def look_up(self, topic: str) -> int | None:
        """Asks the cluster; None if there is no such topic."""
        client = await self.client()
        tracked = topic in client._topics
        self._asked()
        partitions = None
        for _ in range(ASKED_MAX):
            client.add_topic(topic)
            if not await self._answered(client.force_metadata_update()):
                self._discard(client)
                raise unreachable(self.settings.servers, None)
            partitions = client.cluster.partitions_for_topic(topic)
            if partitions is not None:
                break
        self._owes_since = None
        if partitions is None:
            unauthorized = topic in client.cluster.unauthorized_topics
            if not tracked:
                client._topics.discard(topic)
            if unauthorized:
                raise Forbidden(forbidden(f"topic {topic}", "Describe"))
            return None
        return len(partitions)

    def note_committed(self, ends: Mapping[Place, int]) -> None:
        """Where this process's commits end. Kafka acknowledges a commit before its readers see it; the reads below
        wait for it, so that a process always finds what it has committed."""
        self._committed.update(ends)

    async def fetch(
        self, topic: str, partition: int, offset: int, bytes_max: int = FETCH_BYTES_MAX
    ) -> tuple[bytes, list[tuple[int, int]], int]:
        """(record batches, aborted transactions, last stable offset). Raises OffsetOutOfRangeError."""
        wanted = [(topic, [(partition, offset, bytes_max)])]
        request = FetchRequest(0, 0, bytes_max, READ_COMMITTED, wanted, rack_id="")
        until = self._until()
        while True:
            answer = await self._ask(topic, partition, request)
            _number, _error, _highwater, stable, *middle, batches = answer.topics[0][1][0]
            if stable >= self._committed.get((topic, partition), 0):
                break
            await self._not_visible_yet(topic, partition, until)
        aborted = middle[-2] if answer.API_VERSION >= 11 else middle[-1]
        return batches or b"", list(aborted or ()), stable

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """(first offset kept, last stable offset)."""
        until = self._until()
        while True:
            asked = (self._offset(topic, partition, which) for which in (EARLIEST, LATEST))
            start, end = await asyncio.gather(*asked)
            if end >= self._committed.get((topic, partition), 0):
                return start, end
            await self._not_visible_yet(topic, partition, until)

    async def _not_visible_yet(self, topic: str, partition: int, until: float) -> None:
        if self._now() > until:
            end = self._committed[topic, partition]
            raise LogUnavailable(
                f"{topic}[{partition}] does not show what this process has committed, up to {end}: was the topic made anew, or "
                "did its brokers lose records?"
            )
        await asyncio.sleep(COMMIT_POLL_SECONDS)

    async def check_readable(self, topic: str) -> None:
        """Raises Forbidden where this user may not read the topic: a group's member would wait for ever, and not say why."""
        _, end = await self.bounds(topic, 0)
        try:
            await self.fetch(topic, 0, end)
        except OffsetOutOfRangeError:
            pass  # it is being cut, or made anew: readers find out

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Raises OffsetOutOfRangeError beyond the end."""
        request = DeleteRecordsRequest([(topic, [(partition, offset)])], self.settings.answer_timeout_ms)
        await self._ask(topic, partition, request)

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """For other questions to the client. Raises LogUnavailable after the time for an answer."""
        client = self._client
        self._asked()
        try:
            async with asyncio.timeout(self.settings.answer_timeout_s):
                yield
            self._owes_since = None
        except TimeoutError as error:
            self._discard(client)
            raise unreachable(self.settings.servers, error) from error

    def _asked(self) -> None:
        if self._owes_since is None:
            self._owes_since = self._now()

    def _until(self) -> float:
        return self._now() + self.settings.answer_timeout_s

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _offset(self, topic: str, partition: int, which: int) -> int:
        request = OffsetRequest(-1, READ_COMMITTED, [(topic, [(partition, which)])])
        answer = await self._ask(topic, partition, request)
        return int(answer.topics[0][1][0][-1])

    async def _ask(self, topic: str, partition: int, request: Any) -> Any:
        """Sends to the partition's leader until it answers or time is up: leaders move, brokers restart.

        The only clock of a request: under an earlier one of its caller's a dead client would never be found out. Connecting
        has its own.
        """
        if partition >= await self.count(topic):
            del self._counts[topic]  # others' topics may grow
        if not 0 <= partition < await self.count(topic):
            raise topic_missing(f"{topic}[{partition}]")
        client = await self.client()
        self._asked()
        last, pause = None, LEADER_POLL_SECONDS
        try:
            async with asyncio.timeout(self.settings.answer_timeout_s):
                while True:
                    client = await self.client()  # another one, if somebody has given up the one before
                    try:
                        answer = await self._ask_leader(client, topic, partition, request)
                    except KafkaError as error:
                        if isinstance(error, OffsetOutOfRangeError) or not error.retriable:
                            self._owes_since = None
                            raise
                        last = error
                    else:
                        self._owes_since = None
                        return answer
                    await refresh(client)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LEADER_POLL_SECONDS_MAX)
        except TimeoutError:
            self._discard(client)
            raise unreachable(self.settings.servers, last) from last
        except UnknownTopicOrPartitionError as error:
            raise topic_missing(topic) from error
        except OffsetOutOfRangeError:
            raise
        except KafkaError as error:
            raise unreachable(self.settings.servers, error) from error

    async def _ask_leader(self, client: AIOKafkaClient, topic: str, partition: int, request: Any) -> Any:
        answer = await client.send(leader_of(client, topic, partition), request)
        code = _error_code(answer)
        if code:
            raise for_code(code)(f"{topic}[{partition}]")
        return answer

    async def _answered(self, updating: asyncio.Future[bool]) -> bool:
        try:
            async with asyncio.timeout(self.settings.answer_timeout_s):
                return await updating
        except TimeoutError:
            return False


async def refresh(client: AIOKafkaClient) -> None:
    """Learns of leaders and nodes anew, or waits for a second: a client that was closed meanwhile never tells."""
    await asyncio.wait({client.force_metadata_update()}, timeout=METADATA_SECONDS_MAX)


def leader_of(client: AIOKafkaClient, topic: str, partition: int) -> int:
    """The id of the leading node. Raises LeaderNotAvailableError: known after the next update of metadata, in which the
    client asks for this topic too. It may be a new one, and others may have asked it for theirs alone.
    """
    leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
    if leader is None or leader == -1:
        client.add_topic(topic)
        raise LeaderNotAvailableError(f"{topic}[{partition}]")
    return int(leader)


def _error_code(answer: Any) -> int:
    """Of an answer about one partition. Deletions have (partition, low watermark, error), the others (partition, error)."""
    fields = answer.topics[0][1][0]
    return int(fields[2] if answer.API_KEY == DeleteRecordsRequest.API_KEY else fields[1])
