"""Writing without transactions: one idempotent producer for all that a process appends.

Each partition has a lane. What is appended while a lane's batch is on its way goes into its next batch together, in
the order of the calls. A failure ends the producer with everything on its way: it could not send the next batch
either, because the numbers that make it idempotent would have a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError, TopicAuthorizationFailedError

from perdure.adapters.kafka.connection import Connection
from perdure.adapters.kafka.errors import reason, refused_write
from perdure.adapters.kafka.producers import cut_off_producer, open_producer, send, stop_producer
from perdure.adapters.kafka.records import Place, check_records, pack
from perdure.ports.errors import CommitFailed, CommitUnknown, LogUnavailable
from perdure.ports.log import Outgoing

__all__ = ["Appender"]

REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, TopicAuthorizationFailedError)


class Lane:
    """One partition: what waits for its next batch, and who waits for it."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None

    def take(self) -> tuple[list[Outgoing], asyncio.Future[None]]:
        taken = self.records, self.written
        self.records, self.written = [], asyncio.get_running_loop().create_future()
        return taken


class Appender:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lanes: dict[Place, Lane] = {}
        self._entry = asyncio.Lock()
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()
        self._endings: set[asyncio.Task[None]] = set()

    async def append(self, records: Sequence[Outgoing]) -> None:
        try:
            await self._append(records)
        except LogUnavailable as error:  # before anything was sent
            raise CommitFailed(str(error)) from error

    async def _append(self, records: Sequence[Outgoing]) -> None:
        # Calls enter in their order, also while one of them waits to learn about its topic.
        async with self._entry:
            counts: dict[str, int] = {}
            for record in records:
                if record.topic not in counts:
                    known = self._connection.known_count(record.topic)
                    counts[record.topic] = await self._connection.count(record.topic) if known is None else known
            check_records(records, counts)
            waits = {self._enter(record) for record in records}
        if len(waits) == 1:
            await asyncio.shield(waits.pop())
        elif waits:
            done, _ = await asyncio.wait(waits)
            for future in done:
                future.result()

    def _enter(self, record: Outgoing) -> asyncio.Future[None]:
        place = (record.topic, record.partition)
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = Lane()
        lane.records.append(record)
        if lane.task is None:
            lane.task = asyncio.get_running_loop().create_task(self._run(place, lane))
        return lane.written

    async def _run(self, place: Place, lane: Lane) -> None:
        try:
            while lane.records:
                records, written = lane.take()
                try:
                    await self._write(records)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers' to know
                    written.set_exception(error)
                    written.exception()  # an append that was cancelled does not ask
                except BaseException:
                    written.cancel()
                    raise
                else:
                    written.set_result(None)
        finally:
            lane.task = None
            if lane.records:
                lane.written.cancel()  # the lane was cut off: nobody writes what came meanwhile
            else:
                del self._lanes[place]  # a lane is of use while something is on its way; topics may be many

    async def _write(self, records: Sequence[Outgoing]) -> None:
        producer = await self._open()
        try:
            async with asyncio.timeout(self._connection.settings.answer_timeout_s):
                await send(producer, pack(records, producer.create_batch))
        except TimeoutError as error:
            self._discard(producer)
            raise CommitUnknown("Kafka did not tell in time whether the records were written") from error
        except KafkaError as error:
            self._discard(producer)
            if isinstance(error, REFUSALS):
                raise refused_write(error) from error
            raise CommitUnknown(f"whether the records were written is not known ({reason(error)})") from error

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                self._producer = await open_producer(self._connection.settings)
            return self._producer

    def _discard(self, producer: AIOKafkaProducer) -> None:
        if producer is self._producer:
            self._producer = None
            ending = asyncio.get_running_loop().create_task(stop_producer(producer))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def cut_off(self) -> None:
        """Ends everything at once: what is on its way has an unknown outcome."""
        for lane in list(self._lanes.values()):
            if lane.task is not None:
                lane.task.cancel()
        producer, self._producer = self._producer, None
        for ending in self._endings:
            ending.cancel()
        if producer is not None:
            await cut_off_producer(producer)

    async def close(self) -> None:
        """Writes what was accepted, bounded by its time-out, and ends the producer."""
        running = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if running:
            await asyncio.wait(running)
        if self._producer is not None:
            self._discard(self._producer)
        if self._endings:
            await asyncio.wait(self._endings)
