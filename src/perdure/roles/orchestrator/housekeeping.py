"""What grows old: ended instances, records of history and dead letters, tombstones. Its owners look after it.

**Law.** All of it is done beside the partition's loop, which never waits for it; each job by itself, so that a store that is
away delays only what needs it. A job that fails is done again at its next time. Nothing is remembered for a successor: what
is too old is seen by looking. What concerns the whole namespace is done by the owner of its first partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import takewhile

import structlog

from perdure.core.limits import TOMBSTONE_SECONDS
from perdure.core.names import Topics
from perdure.ports.errors import PortError, TopicMissing
from perdure.ports.log import Record
from perdure.roles.orchestrator.expiry import delete_older
from perdure.roles.orchestrator.office import Office
from perdure.roles.orchestrator.retention import Sweeper
from perdure.roles.orchestrator.settings import due_every_s

__all__ = ["Housekeeping", "forget_tombstones"]

log = structlog.get_logger("perdure.orchestrator")

FIRST_SECONDS_MAX = 10.0
"""From a takeover to the first look: there is more urgent work at first, and a tenure may be short."""

END = 1 << 62
MARKS_READ = 1_000


class Housekeeping:
    """Of one tenure: `begin`, then cancel its `tasks`. `stored_to`: below it, history is in the store."""

    def __init__(self, office: Office, stored_to: Callable[[], int]) -> None:
        self._office = office
        self._stored_to = stored_to
        self.tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        office, settings = self._office, self._office.settings
        if settings.retain and office.partition == 0:
            sweeper = Sweeper(office.ports, office.layout.instances, settings, office.stats)
            self._do("old instances stay for now", sweeper.sweep, sweeper.every_s)
        if settings.history_s:
            self._do("old history stays for now", self._expire_history, due_every_s(settings.history_s))
        if settings.dead_letters_s:
            self._do("old dead letters stay for now", self._expire_letters, due_every_s(settings.dead_letters_s))

    def _do(self, otherwise: str, job: Callable[[], Awaitable[None]], every_s: float) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(self._keep_doing(otherwise, job, every_s)))

    async def _keep_doing(self, otherwise: str, job: Callable[[], Awaitable[None]], every_s: float) -> None:
        await asyncio.sleep(min(every_s, FIRST_SECONDS_MAX))
        while True:
            try:
                await job()
            except PortError as error:
                self._office.stats.retention_failures += 1
                log.info(otherwise, partition=self._office.partition, error=str(error))
            except Exception as error:
                self._office.stats.retention_failures += 1
                log.exception(otherwise, partition=self._office.partition, error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(every_s)

    async def _expire_history(self) -> None:
        """Never what is not stored: the marker at `stored_to`, should it be the last one, stays."""
        topic = self._office.ports.topics.history
        await self._expire(topic, self._stored_to(), self._office.settings.history_s)

    async def _expire_letters(self) -> None:
        topics = self._office.ports.topics
        await self._expire(topics.dead_letters, END, self._office.settings.dead_letters_s)
        try:
            await self._expire_marks(topics)
        except TopicMissing:
            log.debug("no such topic before bootstrap is run again", topic=topics.dead_letter_marks)

    async def _expire_marks(self, topics: Topics) -> None:
        """By their letters, never by time: a letter without its mark would be open again."""
        log_, partition = self._office.ports.log, self._office.partition
        letters_start, _ = await log_.bounds(topics.dead_letters, partition)
        begin, _ = await log_.bounds(topics.dead_letter_marks, partition)
        end = begin
        while records := await log_.fetch(topics.dead_letter_marks, partition, end, MARKS_READ):
            gone = list(takewhile(lambda record: _letter_of(record) < letters_start, records))
            end = gone[-1].offset + 1 if gone else end
            if len(gone) < len(records):
                break
        if end > begin:
            await log_.delete_before(topics.dead_letter_marks, partition, end)
            self._office.stats.retention_offsets += end - begin

    async def _expire(self, topic: str, end: int, age_s: float) -> None:
        ports = self._office.ports
        before_ms = (ports.clock.now_us() - round(age_s * 1e6)) // 1_000
        gone = await delete_older(ports.log, topic, self._office.partition, end, before_ms)
        self._office.stats.retention_offsets += gone


def _letter_of(mark: Record) -> int:
    """The letter's offset; -1 for what is no mark."""
    return int(mark.key) if mark.key.isdigit() and len(mark.key) < 19 else -1


async def forget_tombstones(office: Office) -> None:
    """Purged ids are known for a week. One owner does it for all."""
    if office.partition != 0:
        return
    before_us = office.ports.clock.now_us() - TOMBSTONE_SECONDS * 1_000_000
    try:
        await office.ports.store.forget_tombstones(before_us)
    except PortError as error:
        log.info("old tombstones stay for now", error=str(error))
