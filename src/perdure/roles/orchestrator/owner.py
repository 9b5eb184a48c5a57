"""The owner of one partition: one tenure after the other, from assignment to revocation."""

from __future__ import annotations

import asyncio

import structlog

from perdure.ports.errors import (
    CommitFailed,
    CommitUnknown,
    Fenced,
    Forbidden,
    LogClosed,
    LogUnavailable,
    NotAssigned,
    OffsetOutOfRange,
    StoreUnavailable,
)
from perdure.ports.log import Writer
from perdure.roles.orchestrator.caution import Caution
from perdure.roles.orchestrator.kept import Kept
from perdure.roles.orchestrator.position import Position
from perdure.roles.orchestrator.takeover import ResumePoint, find_resume_point
from perdure.roles.orchestrator.tenure import BadContent, Office, Tenure

__all__ = ["PartitionOwner"]

log = structlog.get_logger("perdure.orchestrator")


class PartitionOwner:
    """`run` until `stop`, a revocation, or a newer owner."""

    def __init__(self, office: Office, kept: Kept | None = None) -> None:
        self._office = office
        self.kept = kept  # before the first takeover what an earlier owner here left; after `run` what this one leaves
        self._stopping = False
        self._served = False
        self._stored_to: int | None = None  # as far as the tenure before knew
        self.serving = asyncio.Event()
        self.tenure: Tenure | None = None

    @property
    def partition(self) -> int:
        return self._office.partition

    async def run(self) -> None:
        """Raises what an operator has to look at (ResumePointMissing, TopicMissing …)."""
        pause = self._office.settings.retry_s
        while not self._stopping:
            try:
                await self._take_over()
                await self._serve()
                pause = self._office.settings.retry_s
            except (NotAssigned, LogClosed):
                self._say_goodbye()
                return
            except Forbidden:
                raise  # no pause brings a right: the process says which one it lacks
            except (Fenced, OffsetOutOfRange) as error:
                await asyncio.sleep(pause)
                if self._stopping or not await self._still_assigned():
                    self._say_goodbye()
                    return
                log.info("taking the partition over again", partition=self.partition, reason=type(error).__name__)
            except BadContent:
                self._office.stats.commits_failed += 1
            except (CommitFailed, CommitUnknown, LogUnavailable, StoreUnavailable) as error:
                self._office.stats.commits_failed += 1
                log.warning("the partition is taken over again", partition=self.partition, error=str(error))
                if pause > self._office.settings.retry_s:  # not the first time: whoever waits should know why
                    self._office.on_trouble(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._office.settings.retry_s_max)
            finally:
                await self._end_tenure()

    def stop(self) -> None:
        """Let `run` return: the batch in hand is finished, what is committed is stored."""
        self._stopping = True
        if self.tenure is not None:
            self.tenure.stop()

    async def _take_over(self) -> None:
        office = self._office
        ports, partition = office.ports, office.partition
        writer = await ports.log.open_writer(f"{ports.topics.namespace}.orchestrator.{partition}")
        try:
            self.tenure = await self._tenure_with(writer)
        except BaseException:
            await writer.close()
            raise
        await self.tenure.begin()
        self._served = True
        office.stats.takeovers += 1
        self.serving.set()

    async def _tenure_with(self, writer: Writer) -> Tenure:
        office = self._office
        ports, partition, epoch = office.ports, office.partition, office.settings.epoch
        stored_to = await self._ask_stored_to()
        point = await find_resume_point(ports.log, ports.store, ports.topics, partition, epoch, stored_to)
        _, log_end = await ports.log.bounds(ports.topics.instances, partition)
        left = await ports.log.fetch(ports.topics.instances, partition, Position(point.marker).start, 1)
        kept = await self._take_kept(point)
        lived = kept is not None or (self._served and point.marker.owner == office.settings.owner)
        caution = Caution(point.marker, log_end, idle=not left, lived=lived)
        return Tenure(office, writer, point, caution, stored_to, kept)

    async def _ask_stored_to(self) -> int:
        """Without the store what the last tenure here knew: it may be less, and the log has everything above it."""
        office = self._office
        try:
            return await office.ports.store.stored_to(office.partition, office.settings.epoch)
        except StoreUnavailable:
            if self._stored_to is None:
                raise
            return self._stored_to

    async def _serve(self) -> None:
        if self.tenure is not None and not self._stopping:
            await self.tenure.serve()

    async def _end_tenure(self) -> None:
        self.serving.clear()
        tenure, self.tenure = self.tenure, None
        if tenure is not None:
            self._stored_to = tenure.behind.stored_to
            self.kept = await tenure.end(flush=self._stopping)

    async def _take_kept(self, point: ResumePoint) -> Kept | None:
        kept, self.kept = self.kept, None
        if kept is None or kept.is_current(point):
            return kept
        if kept.running:
            await self._office.decider.let_go(kept.running)
        return None

    async def _still_assigned(self) -> bool:
        """Only the group knows; and it tells by refusing a position from whom it has thrown out.

        Asked until it answers: who took a partition over without knowing would fence its rightful owner.
        """
        if self.tenure is not None:
            await self.tenure.telling.stop(last=False)  # what is written back here would undo what it tells meanwhile
        while not self._stopping:
            try:
                at = await self._office.reader.committed()
                await self._office.reader.commit(max(at.offset, 0), at.metadata)
            except (NotAssigned, LogClosed):
                return False
            except LogUnavailable:
                await asyncio.sleep(self._office.settings.retry_s_max)
            else:
                return True
        return False

    def _say_goodbye(self) -> None:
        if not self._stopping:
            log.info("the partition is no longer ours", partition=self.partition)
