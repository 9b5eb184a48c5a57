"""Ended instances that are older than their status may grow: they are purged, by commands like anybody's.

**Law.** A purge names the run that was seen to have ended. A run that has ended changes no more, so that whatever has
become of the id since (a later run, a purge by somebody else), the command means that run or nothing. It has the same id
each time it is sent: sent again it has no second effect, and nothing has to be remembered of what was sent before.

What is too young is not looked at over and over: an instance that was created within the age cannot have ended before
it, so a pass asks only for what was created earlier, and, but for a whole pass now and then (what ran for long ends at
any time), only for what has come to be so since the pass before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from perdure.core.commands import PurgeWorkflow
from perdure.core.events import Event, WorkflowPurged
from perdure.core.limits import RETENTION_PAGE_MAX
from perdure.core.names import partition_of
from perdure.core.rows import InstanceRow
from perdure.ports.log import Outgoing
from perdure.ports.store import Filter
from perdure.roles.orchestrator.settings import OrchestratorPorts, OrchestratorSettings, Stats, due_every_s

__all__ = ["Sweeper", "is_purge_for_age", "is_retention"]

log = structlog.get_logger("perdure.orchestrator")

WHOLE_PASS_SECONDS_MAX = 24 * 3600.0
LOOKED_AT_PER_SECOND = 1_000
WHO = "retention"
NAMES_A_RUN = 2  # the write version since which a purge can


def purge_of(row: InstanceRow) -> PurgeWorkflow:
    return PurgeWorkflow(recursive=False, command_id=f"{WHO}/{row.run}", requested_by=WHO, run=row.run)


def is_retention(command: PurgeWorkflow) -> bool:
    """It is sent again as long as there is a reason to: its refusal is counted, and no news to anybody."""
    return bool(command.run) and command.command_id == f"{WHO}/{command.run}"


def is_purge_for_age(event: Event) -> bool:
    """What an owner counts."""
    return type(event) is WorkflowPurged and event.command_id == f"{WHO}/{event.run}"


@dataclass(slots=True)
class _Age:
    """One age, of one status or several."""

    seconds: float
    statuses: Sequence[str]
    passed_us: int = 0  # what was created before this has been looked at
    whole_at: float = 0.0  # by the loop's clock: when the next whole pass is due


class Sweeper:
    """`sweep` now and then. Nothing is asked for while the namespace's members do not read a purge that names a run."""

    def __init__(self, ports: OrchestratorPorts, partitions: int, settings: OrchestratorSettings, stats: Stats) -> None:
        self._ports = ports
        self._partitions = partitions
        self._per_second = settings.retain_per_second
        self._stats = stats
        by_age: dict[float, list[str]] = {}
        for status, seconds in sorted(settings.retain.items()):
            by_age.setdefault(seconds, []).append(status)
        self._ages = [_Age(seconds, statuses) for seconds, statuses in sorted(by_age.items())]

    @property
    def every_s(self) -> float:
        """The pause between two sweeps."""
        return due_every_s(self._ages[0].seconds)

    async def sweep(self) -> None:
        """Ask for the purge of what is old enough. Raises PortError: what was not reached is, next time."""
        if self._ports.encode.version < NAMES_A_RUN:
            return
        before = self._stats.retention_asked
        try:
            for age in self._ages:
                await self._pass(age)
        finally:
            if asked := self._stats.retention_asked - before:
                log.info("ended instances are old enough to be purged", count=asked)

    async def _pass(self, age: _Age) -> None:
        before_us = self._ports.clock.now_us() - round(age.seconds * 1e6)
        now = asyncio.get_running_loop().time()
        whole = now >= age.whole_at
        where = Filter(statuses=age.statuses, created_from_us=0 if whole else age.passed_us, created_to_us=before_us)
        after, more = "", before_us > 0
        while more:
            page = await self._ports.store.list(where, RETENTION_PAGE_MAX, after)
            after, more = page.next, bool(page.next)
            ripe = [row for row in page.rows if row.updated_at_us < before_us]
            if ripe:
                await self._ports.log.append([self._purge(row) for row in ripe])
                self._stats.retention_asked += len(ripe)
            await asyncio.sleep(len(ripe) / self._per_second or RETENTION_PAGE_MAX / LOOKED_AT_PER_SECOND)
        age.passed_us = max(before_us, 0)
        if whole:
            age.whole_at = now + due_every_s(age.seconds, WHOLE_PASS_SECONDS_MAX)

    def _purge(self, row: InstanceRow) -> Outgoing:
        home = partition_of(row.instance_id, self._partitions)
        return Outgoing(self._ports.topics.instances, home, row.instance_id.encode(), self._ports.encode(purge_of(row)))
