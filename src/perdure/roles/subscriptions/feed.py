"""One partition of one subscription's topic: read, map, commit.

**Exactly once into the log.** A transaction holds the commands of a batch, its dead letters, and the group's position
after it: all of it or nothing. Nothing stores a position in another way, and every transaction of this subscription and
partition is made by a writer of one id, which reads the position after it was opened. Opening settles what an earlier
writer had under way and fences it. So at each moment the position says exactly which messages have been written, and
whoever writes next begins there: after a crash between any two steps nothing is missing, nothing is there twice, dead
letters included; and nothing has to be recognised again for that (command_ids are, if somebody replays).

**A zombie does no harm.** One that was paused past its session, thrown out, and wakes up: its commit is refused as
fenced once its successor has read a message, because a successor opens its writer before it writes anything. If the
successor has not, the zombie's commit counts, whole, and the successor finds its position. Should it open a writer
itself, it fences the owner, reads the position, and both take turns until it learns of its loss: slow, and still once.
The group decides who *should* work here, the writer who *does*. (aiokafka sends no member's generation along with a
transaction's positions, so the fence is all there is, and all that is needed.)

**Rejected.** Appending the commands and then committing the position: a crash in between sends the batch again, which the
orchestrator recognises for the latest 1,000 commands of an instance only; dead letters would be there twice; and a zombie
that slept long would send commands older than that. **The price:** a transaction that is open when its process dies
holds up readers of the partitions it touched, until a successor opens the writer or the broker's time-out of 5 s.

A message that cannot be mapped goes to the dead letters. What may be mapped later is waited for: a registry that does
not answer, a log that does not.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import structlog

from perdure.codec.encoder import Encoder
from perdure.core.limits import SUBSCRIPTION_COMMIT_BYTES_MAX, SUBSCRIPTION_MESSAGES_MAX
from perdure.core.names import Topics
from perdure.ports.errors import Fenced, LogClosed, NotAssigned, OffsetOutOfRange, PortError
from perdure.ports.log import Committed, Consumed, Log, Membership, Outgoing, Reader, Record, Writer
from perdure.roles.subscriptions.mapping import Misfit, dead_letter_of, mapped
from perdure.roles.subscriptions.register import Declared
from perdure.roles.subscriptions.schemas import WriterSchemas
from perdure.roles.subscriptions.settings import SubscriberSettings, SubscriberStats

__all__ = ["Feed", "Office", "group_of", "writer_of"]

YIELD_BYTES: Final = 64 * 1024
"""Of messages mapped, after which the others of the loop get their turn: heartbeats are among them."""

logger = structlog.get_logger(__name__)


def group_of(topics: Topics, name: str) -> str:
    return f"{topics.namespace}.subscription.{name}"


def writer_of(topics: Topics, name: str, partition: int) -> str:
    """A transactional id."""
    return f"{group_of(topics, name)}.{partition}"


@dataclass(slots=True)
class Office:
    """What all feeds of a process share. `counts`: partitions of the commands and of the dead letters."""

    log: Log
    topics: Topics
    counts: tuple[int, int]
    schemas: WriterSchemas
    settings: SubscriberSettings
    stats: SubscriberStats
    encode: Encoder = field(default_factory=Encoder)


class _BeyondTheEnd(PortError):
    """The position is one that the topic never had, as it is now."""


@dataclass(slots=True, frozen=True)
class _Seat:
    reader: Reader
    writer: Writer


@dataclass(slots=True)
class _Batch:
    records: list[Outgoing] = field(default_factory=list)
    size: int = 0
    started: int = 0
    raised: int = 0
    passed_over: int = 0
    dead_letters: int = 0

    def put(self, record: Outgoing) -> None:
        self.records.append(record)
        self.size += len(record.key) + len(record.value) + sum(len(value) for _, value in record.headers)


class Feed:
    """`trouble`: why it does not go on, "" if it does."""

    def __init__(self, number: int, office: Office, declared: Declared, membership: asyncio.Future[Membership]) -> None:
        self.number = number
        self.declared = declared
        self.trouble = ""
        self._office = office
        self._membership = membership
        self._reader: Reader | None = None
        self._writer: Writer | None = None
        self._main: asyncio.Task[None] | None = None
        self._ending = False
        self._mapped_bytes = self._told_missed = 0

    @property
    def position(self) -> int | None:
        """Of the next message to be read; None until it knows."""
        return None if self._reader is None else self._reader.position

    def start(self) -> None:
        self._main = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Let what is being committed be committed, then end."""
        self._ending = True
        if self._main is not None and not self._main.done():
            if self._reader is not None:
                self._reader.wake()
            await asyncio.wait({self._main}, timeout=self._office.settings.stop_timeout_s)
        await self.abandon()

    async def abandon(self) -> None:
        """End as a crash would, but for the writer's connections."""
        self._ending = True
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        await self._close_writer()

    async def _run(self) -> None:
        settings = self._office.settings
        pause = settings.backoff_s
        while not self._ending:
            try:
                seat = await self._begin()
                while seat is not None and not self._ending:
                    await self._step(seat)
                    self.trouble, pause = "", settings.backoff_s
            except (NotAssigned, LogClosed):
                return
            except OffsetOutOfRange as error:
                logger.warning("a subscription looks anew where its topic begins", **self._place(), reason=str(error))
            except Fenced as error:
                logger.info("a subscription's writer was fenced", **self._place(), reason=str(error))
            except PortError as error:
                self._complain(str(error), pause)
            except Exception as error:  # noqa: BLE001 - a subscription waits for what it needs rather than being given up
                self._complain(f"{type(error).__name__}: {error}", pause)
            await self._close_writer()
            await asyncio.sleep(pause)
            pause = min(2 * pause, settings.backoff_max_s)

    def _complain(self, trouble: str, pause: float) -> None:
        self.trouble = trouble
        logger.warning("a subscription does not go on", **self._place(), error=trouble, retry_s=pause)

    async def _begin(self) -> _Seat | None:
        """None if it ends. Where it goes on is known once the writer is open; and that is opened when there is something to read.

        A producer costs connections: topics may have many partitions in which nothing happens.
        """
        office, subscription = self._office, self.declared.subscription
        reader = self._reader = (await asyncio.shield(self._membership)).reader(subscription.topic, self.number)
        position, end = await self._stored(reader)
        if position >= end:
            self.trouble = ""
        reader.seek(position)
        while not await reader.read(1):
            if self._ending:
                return None
        self._writer = await office.log.open_writer(writer_of(office.topics, subscription.name, self.number))
        position, _ = await self._stored(reader)
        reader.seek(position)
        return _Seat(reader, self._writer)

    async def _stored(self, reader: Reader) -> tuple[int, int]:
        """Where the group stands, else where the subscription begins; and the topic's end. Raises _BeyondTheEnd.

        What a subscription of this name had taken before this one was added counts where it lies beyond "now": a subscriber
        that had not noticed yet has written up to there. From the beginning, everything is taken again: that is what was asked.
        """
        subscription = self.declared.subscription
        stored = await reader.committed()
        start, end = await self._office.log.bounds(subscription.topic, self.number)
        position = self.declared.begins.get(self.number, start)
        if stored.offset >= 0 and stored.metadata == self.declared.since:
            position = stored.offset
        elif self.declared.begins:
            position = max(position, stored.offset)
        if position > end:
            raise _BeyondTheEnd(
                f"topic {subscription.topic}[{self.number}] ends at {end}, before position {position}: it was made anew, and "
                "its offsets mean other messages now. Add the subscription under another name, and remove this one"
            )
        if position < start:
            self._miss(start - max(position, self._told_missed), start)
        return max(position, start), end

    def _miss(self, count: int, start: int) -> None:
        if count > 0:
            self._office.stats.missed += count
            self._told_missed = start
            logger.error("messages were deleted before they were read", **self._place(), messages=count, start=start)

    async def _step(self, seat: _Seat) -> None:
        records = await seat.reader.read(SUBSCRIPTION_MESSAGES_MAX)
        position, batch = seat.reader.position, _Batch()
        if not records:
            return
        for record in records:
            await self._take(record, batch)
            if batch.size >= SUBSCRIPTION_COMMIT_BYTES_MAX and record is not records[-1]:
                await self._commit(seat.writer, batch, record.offset + 1)
                batch = _Batch()
        await self._commit(seat.writer, batch, position)

    async def _take(self, record: Record, batch: _Batch) -> None:
        office, subscription = self._office, self.declared.subscription
        instances, dead_letters = office.counts
        self._mapped_bytes += len(record.value) + 1
        if self._mapped_bytes > YIELD_BYTES:
            self._mapped_bytes = 0
            await asyncio.sleep(0)
        try:
            found = mapped(record, subscription, await office.schemas.of(record, subscription))
        except Misfit as misfit:
            logger.error(
                "a message fits no command: it goes to the dead letters", **self._place(), offset=record.offset,
                expression=misfit.expression,
            )  # fmt: skip
            letter = dead_letter_of(record, subscription.name, str(misfit), office.topics.dead_letters, dead_letters)
            batch.put(letter)
            batch.dead_letters += 1
            return
        if found is None:
            batch.passed_over += 1
            return
        batch.put(found.outgoing(office.topics.instances, instances, office.encode))
        batch.started += bool(subscription.workflow)
        batch.raised += bool(subscription.event)

    async def _commit(self, writer: Writer, batch: _Batch, position: int) -> None:
        declared, stats = self.declared, self._office.stats
        subscription = declared.subscription
        consumed = Consumed(
            group_of(self._office.topics, subscription.name), subscription.topic, self.number,
            Committed(position, declared.since),
        )  # fmt: skip
        try:
            await writer.commit(batch.records, consumed=consumed)
        except PortError:
            stats.commits_failed += 1
            raise
        stats.commits += 1
        stats.dead_letters += batch.dead_letters
        counted: tuple[tuple[Counter[str], int], ...] = (
            (stats.started, batch.started), (stats.raised, batch.raised), (stats.passed_over, batch.passed_over),
        )  # fmt: skip
        for counter, count in counted:
            if count:
                counter[subscription.name] += count

    def _place(self) -> dict[str, object]:
        subscription = self.declared.subscription
        return {"subscription": subscription.name, "topic": subscription.topic, "partition": self.number}

    async def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
