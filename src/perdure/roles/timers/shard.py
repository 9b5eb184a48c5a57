"""One shard at work: reads requests into the book, lets `firing` and `keeping` act on it, moves the group position.

Nothing is fired before the shard has read up to where the log ended at takeover: a timer that was cancelled or moved
meanwhile must not fire first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog

from perdure.codec.avro import decode
from perdure.codec.encoder import Encoder
from perdure.core.effects import CancelTimer, SetTimer
from perdure.core.names import Topics
from perdure.ports.clock import Clock
from perdure.ports.errors import LogClosed, NotAssigned, OffsetOutOfRange, PortError, RecordTooLarge
from perdure.ports.log import Log, Membership, Outgoing, Reader, Record
from perdure.ports.store import TimerStore
from perdure.roles.dead_letters import dead_letter, run_partition
from perdure.roles.timers.book import TimerBook
from perdure.roles.timers.firing import Firing, append_until_written
from perdure.roles.timers.keeping import Keeping
from perdure.roles.timers.settings import TimerSettings, TimerStats

__all__ = ["Shard"]

READ_MAX: Final = 500
CATCH_UP_LOOK_S: Final = 0.02

logger = structlog.get_logger(__name__)


class Shard:
    """`counts`: partitions of the topics instances and dead letters."""

    def __init__(
        self,
        number: int,
        *,
        log: Log,
        store: TimerStore,
        clock: Clock,
        topics: Topics,
        counts: tuple[int, int],
        membership: asyncio.Future[Membership],
        settings: TimerSettings,
        stats: TimerStats,
        encode: Encoder,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.number = number
        self._encode = encode
        self._on_failure = on_failure
        self._log = log
        self._store = store
        self._clock = clock
        self._topics = topics
        self._instances, self._dead_letters = counts
        self._membership = membership
        self._settings = settings
        self._stats = stats
        self._book: TimerBook | None = None
        self._main: asyncio.Task[None] | None = None
        self._stored = self._deleted = 0
        self._commit_due: asyncio.TimerHandle | None = None
        self._committing: asyncio.Task[None] | None = None
        self._tidy_at = 0.0
        self._ended = False

    @property
    def pending_near(self) -> int:
        return 0 if self._book is None else len(self._book.near)

    @property
    def position(self) -> int | None:
        """Of the next request to be read; None until the shard is open."""
        return None if self._book is None else self._book.held.next

    @property
    def held(self) -> bool:
        """It reads no further on purpose: it is not open yet, or its store is too far behind."""
        return self._book is None or len(self._book.far.changes) > self._settings.unstored_max

    def _main_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("a timer shard is not served any more", shard=self.number, exc_info=error)
            if self._on_failure is not None:
                self._on_failure(error)

    def start(self) -> None:
        self._main = asyncio.get_running_loop().create_task(self._run())
        self._main.add_done_callback(self._main_ended)

    async def stop(self) -> None:
        """Let what is being sent be acknowledged, store the position durably, end."""
        if self._main is None:
            return
        if self._book is not None and not self._main.done():
            self._firing.end()
            await asyncio.wait({self._fire_task}, timeout=self._settings.stop_timeout_s)
            try:
                await self._reader.commit(self._book.held.low)
            except PortError as error:
                logger.info("the shard's position was not stored", shard=self.number, reason=str(error))
        await self.abandon()

    async def abandon(self) -> None:
        """End as a crash would."""
        self._ended = True
        if self._commit_due is not None:
            self._commit_due.cancel()
        for task in (self._main, self._committing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        pause = self._settings.backoff_s
        while True:
            try:
                await self._open()
                break
            except (NotAssigned, LogClosed):
                return
            except Exception as error:  # noqa: BLE001 - a shard waits for its log rather than being given up
                logger.warning("a timer shard cannot be opened", shard=self.number, error=str(error), retry_s=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.backoff_max_s)
        tasks = [asyncio.ensure_future(self._read_on()), self._fire_task, asyncio.ensure_future(self._keeping.run())]
        try:
            await asyncio.gather(*tasks)
        except LogClosed:
            return
        finally:
            self._keeping.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _open(self) -> None:
        reader = (await asyncio.shield(self._membership)).reader(self._topics.timers, self.number)
        committed = await reader.committed()
        start, self._end = await self._log.bounds(self._topics.timers, self.number)
        position = max(committed.offset, start)
        settings = self._settings
        book = TimerBook(
            now_us=self._clock.now_us(),
            position=position,
            maybe_stored_below=self._end,
            near_us=int(settings.near_s * 1e6),
            slice_us=settings.slice_s * 1_000_000,
        )
        self._stored = self._deleted = position
        self._keeping = Keeping(
            self.number,
            book,
            store=self._store,
            clock=self._clock,
            partitions=self._instances,
            settings=settings,
            stats=self._stats,
            prove_ownership=self._prove_ownership,
            on_kept=self._kept,
        )
        self._firing = Firing(
            book,
            log=self._log,
            clock=self._clock,
            topic=self._topics.instances,
            settings=settings,
            stats=self._stats,
            encode=self._encode,
            on_window=self._keeping.wake,
            on_fired=self._moved,
        )
        self._reader: Reader = reader
        self._fire_task = asyncio.ensure_future(self._fire())
        self._book = book
        reader.seek(position)

    async def _fire(self) -> None:
        """Wait until the past is read, then fire. Offsets may end in a gap, which only the reader's position shows."""
        await asyncio.sleep(0)
        book = self._known()
        while book.held.next < self._end:
            seen = book.held.next
            await asyncio.sleep(CATCH_UP_LOOK_S)
            if seen == book.held.next and self._reader.position >= self._end:
                break
        await self._firing.run()

    async def _read_on(self) -> None:
        pause = self._settings.backoff_s
        while True:
            try:
                await self._read()
                pause = self._settings.backoff_s
            except (NotAssigned, LogClosed):
                return
            except Exception as error:  # noqa: BLE001 - a shard is read on, whatever a log raises once
                logger.warning("a timer shard cannot be read", shard=self.number, error=str(error), retry_s=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.backoff_max_s)
                self._reader.seek(self._known().held.next)

    async def _read(self) -> None:
        book = self._known()
        while len(book.far.changes) > self._settings.unstored_max:
            await self._keeping.next_round()  # the store is behind: what is read now would only pile up
        try:
            records = await self._reader.read(READ_MAX)
        except OffsetOutOfRange:
            start, _ = await self._log.bounds(self._topics.timers, self.number)
            logger.warning("timer requests were deleted before they were read", shard=self.number, start=start)
            book.held.pass_to(start)
            self._reader.seek(start)
            return
        position = self._reader.position
        now_us = self._clock.now_us()
        book.advance(now_us)
        for record in records:
            reason = self._take(book, record, now_us)
            if reason:
                await self._bury(record, reason)
                book.held.pass_to(record.offset + 1)
        book.held.pass_to(position)
        if book.unloaded:
            self._keeping.wake()
        self._keeping.changed()
        self._firing.look()
        self._moved()
        await asyncio.sleep(0)  # a reader with a backlog need not wait: the others of the loop must get their turn

    def _take(self, book: TimerBook, record: Record, now_us: int) -> str:
        """Enter the request; else why not."""
        try:
            request: Any = decode(record.value)
            record.key.decode()
            if type(request) is SetTimer:
                target = run_partition(request.run, self._instances)
                book.set(record.key, request, target=target, offset=record.offset, value=record.value, now_us=now_us)
                self._stats.set += 1
            elif type(request) is CancelTimer:
                book.cancel(record.key, request, record.offset)
                self._stats.cancelled += 1
            else:
                return f"a {type(request).__name__} is no request to the timer role"
        except ValueError as error:  # DecodeError and UnicodeDecodeError are ValueErrors
            return str(error)
        return ""

    async def _bury(self, record: Record, reason: str) -> None:
        self._stats.dead_letters += 1
        logger.error(
            "a timer request cannot be read: it goes to the dead letters",
            topic=record.topic, partition=record.partition, offset=record.offset, reason=reason,
        )  # fmt: skip
        letter = dead_letter(self._topics.dead_letters, self._dead_letters, record, reason)
        try:
            await append_until_written(self._log, [letter], self._settings)
        except RecordTooLarge:
            bare = Outgoing(letter.topic, letter.partition, letter.key, b"", letter.headers[-2:])
            await append_until_written(self._log, [bare], self._settings)

    def _kept(self) -> None:
        self._firing.look()
        self._keeping.changed()
        self._moved()

    async def _prove_ownership(self) -> None:
        low = self._known().held.low
        await self._reader.commit(low)
        self._stored = max(self._stored, low)

    def _moved(self) -> None:
        """The position may have moved: store it within `commit_s`."""
        if self._commit_due is None and not self._ended:
            self._commit_due = asyncio.get_running_loop().call_later(self._settings.commit_s, self._begin_commit)

    def _begin_commit(self) -> None:
        self._commit_due = None
        self._committing = asyncio.get_running_loop().create_task(self._commit())

    async def _commit(self) -> None:
        """Lazily; and let the log delete what the position stored a round earlier, durable by now, has passed."""
        durable = self._stored
        low = self._known().held.low
        now = asyncio.get_running_loop().time()
        try:
            if low > self._stored:
                await self._reader.commit(low, lazy=True)
                self._stored = low
            if durable > self._deleted and now >= self._tidy_at:
                await self._log.delete_before(self._topics.timers, self.number, durable)
                self._deleted = durable
                self._tidy_at = now + self._settings.tidy_s
        except (NotAssigned, LogClosed):
            return
        except PortError as error:
            logger.warning("a timer shard's position is not stored yet", shard=self.number, error=str(error))
        if self._stored > self._deleted:
            self._moved()

    def _known(self) -> TimerBook:
        if self._book is None:
            raise RuntimeError("the shard is not open")
        return self._book
