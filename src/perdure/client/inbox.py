"""The replies addressed to one client: its own reader of one partition of the topic `replies`.

The client is the only member of a group of its own, so that every partition is its; it reads one and sees the answers
to others there, too, which it drops. It begins at the end: what was answered before it asked is not for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from perdure.codec.avro import DecodeError, decode
from perdure.core.names import Topics
from perdure.core.replies import Reply
from perdure.ports.errors import LogClosed, NotAssigned, OffsetOutOfRange, PortError
from perdure.ports.log import GroupListener, Log, Membership, Reader

__all__ = ["Inbox"]

log = structlog.get_logger(__name__)

READ_RECORDS_MAX = 1_000


COMMIT_EVERY = 500  # replies
RETRY_SECONDS = 0.5  # after the log did not answer


class Inbox(GroupListener):
    """Hands every reply to `on_reply`; when reading ends for good, `on_end` is told why."""

    def __init__(
        self,
        log: Log,
        topics: Topics,
        token: str,
        on_reply: Callable[[Reply], None],
        on_end: Callable[[Exception], None],
    ) -> None:
        self.partition = 0
        self._log = log
        self._topics = topics
        self._token = token
        self._on_reply = on_reply
        self._on_end = on_end
        self._position = -1
        self._committed = -1
        self._membership: Membership | None = None
        self._task: asyncio.Task[None] | None = None
        self._reading = asyncio.Event()

    async def open(self) -> None:
        """Returns once every reply written from now on will be seen. Whose caller had no patience is opened further the next
        time: a second member of the group would be given the partition, or the first one keep it.
        """
        if self._membership is None:
            topic = self._topics.replies
            self.partition = int(self._token[-8:], 16) % await self._log.partitions(topic)
            _, self._position = await self._log.bounds(topic, self.partition)
            group = f"{self._topics.namespace}.client.{self._token}"
            self._membership = await self._log.join(group, [topic], self)
        self._start()
        await self._reading.wait()

    async def close(self) -> None:
        await self._stop()
        if self._membership is not None:
            membership, self._membership = self._membership, None
            await membership.leave()

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        if self.partition in partitions and self._membership is not None:
            self._start()

    async def on_revoked(self, partitions: Sequence[int]) -> None:
        del partitions
        await self._stop()

    def _start(self) -> None:
        if self._membership is not None and self._task is None:
            try:
                reader = self._membership.reader(self._topics.replies, self.partition)
            except NotAssigned:  # the assignment that brings it is yet to come
                return
            reader.seek(self._position)
            self._task = asyncio.get_running_loop().create_task(self._read(reader))
            self._reading.set()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _read(self, reader: Reader) -> None:
        try:
            while True:
                try:
                    await self._read_some(reader)
                except (NotAssigned, LogClosed):
                    raise
                except PortError as error:  # brokers come back, and with them the answers to what is asked again
                    log.warning("replies cannot be read", error=str(error))
                    await asyncio.sleep(RETRY_SECONDS)
        except NotAssigned:
            self._task = None
        except Exception as error:  # noqa: BLE001 - the askers hear of it, whatever it is
            self._on_end(error)

    async def _read_some(self, reader: Reader) -> None:
        try:
            records = await reader.read(READ_RECORDS_MAX)
        except OffsetOutOfRange:
            _, end = await self._log.bounds(self._topics.replies, self.partition)
            reader.seek(end)  # what was deleted meanwhile is asked for again
            return
        self._position = reader.position
        if self._position - self._committed >= COMMIT_EVERY:
            self._committed = self._position
            await reader.commit(self._position, lazy=True)  # what is read may be forgotten
        ours = self._token.encode()
        for record in records:
            if not record.key.startswith(ours):  # a reply's key is its token: others' are not worth decoding
                continue
            try:
                reply = decode(record.value)
            except DecodeError as error:
                log.warning("a reply could not be read", offset=record.offset, error=str(error))
                continue
            if type(reply) is Reply:
                self._on_reply(reply)
