"""One assigned partition of an activities topic: what is read, taken and committed.

Law. A record is taken once per assignment, after every earlier one. The group position is the watermark's `low`, and
moves only by `settle`, which comes after a result (or what stands for it) is in the log. A position is committed
lazily: it rides with the log's next write. If it is lost, tasks are delivered again, which is allowed; a position
ahead of its results would lose tasks, which is not.

What lies between the committed position and the log's end at takeover may have been handed out before: those are
the suspects. A suspect's count is durable before it runs. The first time all run together; those that come back again
run one at a time, so that the innocent are told from the one that kills; ACTIVITY_DELIVERIES_MAX ends it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

import structlog

from perdure.ports.errors import LogClosed, NotAssigned, OffsetOutOfRange, PortError
from perdure.ports.log import Log, Membership, Reader, Record
from perdure.roles.activities.dispatcher import Dispatcher
from perdure.roles.activities.intake import Intake
from perdure.roles.activities.settings import ActivitySettings, ActivityStats
from perdure.roles.activities.watermark import Watermark, decode_metadata

__all__ = ["Feed"]

READ_MAX: Final = 128
CAUTION_FROM: Final = 2  # deliveries after a takeover from which a suspect runs alone
METADATA_DEAR: Final = 256  # finished offsets above `low`: encoding them costs, so it is done less often
DEAR_PAUSE_S: Final = 0.1

logger = structlog.get_logger(__name__)


class Feed:
    """An `Origin` of attempts. `on_moved` hears of every move of its position; `commit` then stores it."""

    def __init__(
        self,
        partition: int,
        topic: str,
        *,
        log: Log,
        membership: asyncio.Future[Membership],
        intake: Intake,
        dispatcher: Dispatcher,
        caution: asyncio.Lock,
        on_moved: Callable[[Feed], None],
        on_failure: Callable[[BaseException], None],
        settings: ActivitySettings,
        stats: ActivityStats,
    ) -> None:
        self.partition = partition
        self.topic = topic
        self.live = True
        self.watermark = Watermark(0)
        self._log = log
        self._membership = membership
        self._intake = intake
        self._dispatcher = dispatcher
        self._caution = caution
        self._on_moved = on_moved
        self._on_failure = on_failure
        self._settings = settings
        self._stats = stats
        self._reader: Reader | None = None
        self._suspect_end = 0
        self._cautious: deque[Record] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._stored: tuple[int, str] = (-1, "")
        self._store_again_at = 0.0
        self._late = False
        self._waiting = False  # for records: none is in hand
        self._deletable = self._deleted = 0

    def start(self) -> None:
        self._tasks = [self._begin(self._run())]

    @property
    def held(self) -> bool:
        """It reads no further on purpose: what was taken has to end first."""
        return self._dispatcher.full or bool(self._cautious) or not self.watermark.has_room(self.watermark.next)

    async def stop(self) -> None:
        """Take nothing more; what was taken goes on."""
        self.live = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._on_failure(error)

    def settle(self, offset: int) -> None:
        self.watermark.finish(offset)
        self._on_moved(self)

    async def commit(self, *, lazy: bool = True) -> None:
        """Store the position, if it has moved. Not ours any more: nothing happens."""
        reader, watermark = self._reader, self.watermark
        if reader is None:
            return
        if self._waiting:
            # Past the ends of transactions, too, of which a read tells nothing: who scales by lag waits for 0.
            watermark.pass_to(reader.position)
        if lazy and len(watermark.done) > METADATA_DEAR:
            now = asyncio.get_running_loop().time()
            self._late = now < self._store_again_at
            if self._late:
                return
            self._store_again_at = now + DEAR_PAUSE_S
        position = (watermark.low, watermark.metadata())
        if position == self._stored:
            return
        try:
            await reader.commit(*position, lazy=lazy)
            self._stored = position
        except (NotAssigned, LogClosed):
            self._reader = None
        except PortError as error:
            logger.warning("a position is not stored yet", topic=self.topic, partition=self.partition, error=str(error))

    async def tidy(self) -> bool:
        """Let the log delete what is done, one round late, when the lazy position is durable. True: look again."""
        if self._deletable > self._deleted:
            await self._log.delete_before(self.topic, self.partition, self._deletable)
            self._deleted = self._deletable
        await self.commit()
        self._deletable = self._stored[0]
        return self._reader is not None and (
            self._deletable > self._deleted
            or self._stored[0] < self.watermark.low
            or self._late
            or self.watermark.next < self._suspect_end
        )

    async def _run(self) -> None:
        pause = self._settings.backoff_s
        while True:
            try:
                reader = await self._open()
                while True:
                    await self._read(reader)
                    pause = self._settings.backoff_s
            except (NotAssigned, LogClosed):
                return
            except Exception as error:  # noqa: BLE001 - a partition is read on, whatever a log raises once
                logger.warning(
                    "an activities partition cannot be read",
                    topic=self.topic, partition=self.partition, error=f"{type(error).__name__}: {error}", retry_s=pause,
                )  # fmt: skip
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.backoff_max_s)

    async def _open(self) -> Reader:
        if self._reader is None:
            reader = (await asyncio.shield(self._membership)).reader(self.topic, self.partition)
            committed = await reader.committed()
            start, end = await self._log.bounds(self.topic, self.partition)
            try:
                done, counts = decode_metadata(committed.metadata, committed.offset)
            except ValueError as error:
                logger.warning("offset metadata is ignored", partition=self.partition, error=str(error))
                done, counts = set(), {}
            self.watermark = Watermark(max(committed.offset, start), done, counts)
            self._suspect_end = end
            self._stored = (committed.offset, committed.metadata)
            self._reader = reader
        self._reader.seek(self.watermark.next)
        self._on_moved(self)
        return self._reader

    async def _read(self, reader: Reader) -> None:
        self._waiting = True
        try:
            records = await reader.read(READ_MAX)
        except OffsetOutOfRange:
            start, _ = await self._log.bounds(self.topic, self.partition)
            logger.warning("activity tasks were deleted before they were read", partition=self.partition, start=start)
            self.watermark.pass_to(start)
            reader.seek(start)
            return
        finally:
            self._waiting = False
        position = reader.position
        if self.watermark.next < self._suspect_end:
            old = [record for record in records if record.offset < self._suspect_end]
            await self._take_suspects(reader, old)
            records = records[len(old) :]
        for record in records:
            if self._dispatcher.full or not self.watermark.has_room(record.offset):
                await self._room(record.offset)
            if self.watermark.take(record.offset):
                self._intake.admit(self, record)
        self.watermark.pass_to(position)
        await asyncio.sleep(0)  # a reader with a backlog need not wait: the others of the loop must get their turn

    async def _room(self, offset: int) -> None:
        while self._dispatcher.full or not self.watermark.has_room(offset):
            await self._dispatcher.changed()

    async def _take_suspects(self, reader: Reader, records: Sequence[Record]) -> None:
        batch: list[Record] = []
        for record in records:
            if not self.watermark.has_room(record.offset) or len(batch) >= self._places():
                await self._rerun(reader, batch)
                batch = []
                await self._room(record.offset)
            if not self.watermark.take(record.offset) or self._dispatcher.adopt(self, record.offset, record.key):
                continue
            self._stats.redelivered += 1
            if self.watermark.counts.get(record.offset, 0) + 1 < CAUTION_FROM:
                batch.append(record)
            else:
                self._take_cautiously(reader, record)
        await self._rerun(reader, batch)

    def _places(self) -> int:
        return max(self._settings.in_flight_max - self._stats.in_flight, 0)

    async def _rerun(self, reader: Reader, batch: Sequence[Record]) -> None:
        if not batch:
            return
        for record in batch:
            self.watermark.counts[record.offset] = 1
        await self._store_counts(reader)
        for record in batch:
            self._intake.admit(self, record)

    def _take_cautiously(self, reader: Reader, record: Record) -> None:
        self._cautious.append(record)
        if len(self._tasks) == 1:
            self._tasks.append(self._begin(self._run_cautious(reader)))

    async def _run_cautious(self, reader: Reader) -> None:
        """One suspect at a time, over all partitions of this worker."""
        try:
            while self._cautious:
                record = self._cautious.popleft()
                async with self._caution:
                    count = self.watermark.counts.get(record.offset, 0) + 1
                    self.watermark.counts[record.offset] = count
                    await self._store_counts(reader)
                    attempt = self._intake.admit(self, record, deliveries=count)
                    if attempt is not None and not attempt.settled:
                        attempt.waiter = asyncio.get_running_loop().create_future()
                        await attempt.waiter
        except (NotAssigned, LogClosed):
            return
        finally:
            del self._tasks[1:]

    async def _store_counts(self, reader: Reader) -> None:
        """Durable before any of them runs; repeated until it is. Raises NotAssigned."""
        pause = self._settings.backoff_s
        while True:
            position = (self.watermark.low, self.watermark.metadata())
            try:
                await reader.commit(*position)
            except (NotAssigned, LogClosed):
                raise
            except PortError as error:
                logger.warning("delivery counts are not stored yet", partition=self.partition, error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.backoff_max_s)
            else:
                self._stored = position
                return
