"""A transactional producer, used for one writer's life.

Law: a commit that was not acknowledged is either known not to be written, or unknown, and never retried here. After
the first that fails the writer is dead: its owner opens a new one, which fences this one, settles what is open, and
reads what is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from perdure.adapters.kafka.clients import bounded
from perdure.adapters.kafka.connection import Connection
from perdure.adapters.kafka.errors import is_fenced, reason, refused_write
from perdure.adapters.kafka.producers import EndWatch, cut_off_producer, send, stop_producer
from perdure.adapters.kafka.records import check_records, pack
from perdure.ports.errors import CommitFailed, CommitUnknown, Fenced, LogUnavailable
from perdure.ports.log import Consumed, Outgoing, Writer

__all__ = ["KafkaWriter"]

ABORT_SECONDS_MAX = 2.0


class Phase(Enum):
    """How far a commit is: before ENDING nothing of it can become visible."""

    SENDING = 1
    ENDING = 2


class KafkaWriter(Writer):
    def __init__(
        self, connection: Connection, producer: AIOKafkaProducer, transactional_id: str, check_open: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._producer = producer
        self._id = transactional_id
        self._check_open = check_open
        self._watch = EndWatch(producer)
        self._turn = asyncio.Lock()
        self._phase = Phase.SENDING
        self._dead = False
        self._ending: asyncio.Task[None] | None = None

    async def commit(self, records: Sequence[Outgoing], *, consumed: Consumed | None = None) -> int:
        self._check_open()
        if not records and consumed is None:
            raise ValueError("a commit needs records")
        async with self._turn:
            self._check_open()
            if self._dead:
                raise Fenced(f"this writer of {self._id} failed before, or was closed: open a new one")
            try:
                return await self._commit(records, consumed)
            except BaseException:
                # Cancelled too: nobody knows what was written, and nobody else may write after it.
                self._end()
                raise

    async def _commit(self, records: Sequence[Outgoing], consumed: Consumed | None) -> int:
        self._phase = Phase.SENDING
        try:
            counts = {topic: await self._connection.count(topic) for topic in {record.topic for record in records}}
        except LogUnavailable as error:
            raise CommitFailed(str(error)) from error
        check_records(records, counts)
        packed = pack(records, self._producer.create_batch)
        try:
            async with asyncio.timeout(self._connection.settings.answer_timeout_s):
                await self._producer.begin_transaction()
                ends = await send(self._producer, packed)
                if consumed is not None:
                    await self._store(consumed)
                self._phase = Phase.ENDING
                await self._producer.commit_transaction()
        except TimeoutError as error:
            raise self._timed_out() from error
        except (KafkaError, AssertionError) as error:
            # aiokafka asserts its own state; a producer that failed fatally answers so.
            raise self._failure(error) from error
        self._connection.note_committed(ends)
        return ends[records[-1].topic, records[-1].partition] - 1 if records else -1

    async def _store(self, consumed: Consumed) -> None:
        """Without a member's generation, which aiokafka does not send along: the fence alone keeps a zombie from it."""
        place = TopicPartition(consumed.topic, consumed.partition)
        position = OffsetAndMetadata(consumed.committed.offset, consumed.committed.metadata)
        await self._producer.send_offsets_to_transaction({place: position}, consumed.group)

    def _timed_out(self) -> CommitFailed | CommitUnknown:
        if self._phase is Phase.SENDING:
            return CommitFailed(f"Kafka did not take the records of {self._id} in time")
        return CommitUnknown(f"Kafka did not tell in time whether the commit of {self._id} was written")

    def _failure(self, error: KafkaError | AssertionError) -> Exception:
        if self._phase is Phase.SENDING:
            return refused_write(error, self._id)
        if is_fenced(error) and not self._watch.lost:
            return refused_write(error, self._id)
        return CommitUnknown(f"whether the commit of {self._id} was written is not known ({reason(error)})")

    def _end(self) -> None:
        if not self._dead:
            self._dead = True
            self._ending = asyncio.get_running_loop().create_task(self._abort_and_stop())

    async def _abort_and_stop(self) -> None:
        """Open transactions hold up every reader of the partitions they touched, so abort without being asked."""
        if self._phase is Phase.SENDING:
            try:
                await bounded(self._producer.abort_transaction(), ABORT_SECONDS_MAX)
            except (KafkaError, AssertionError):
                pass  # the broker aborts by its own time-out, or the next writer does
        await stop_producer(self._producer)

    @property
    def ended(self) -> bool:
        return self._ending is not None and self._ending.done()

    async def cut_off(self) -> None:
        """Ends it at once, whatever it waits for; a successor settles what is open."""
        self._dead = True
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().create_task(cut_off_producer(self._producer))
        await self._ending

    async def close(self) -> None:
        """Ends the producer; an open commit fails. Twice is harmless."""
        self._end()
        if self._ending is not None:
            await asyncio.shield(self._ending)
