"""From records to the requests of the next batch.

**Law.** Requests of one instance are decided in the order of the log. While an instance is being loaded its requests
wait in `memory.parked`, and they stay there until they are taken, so that no later one can pass them by; those of other
instances go on. Before that they may wait for the schema they were written with (`holding.py`).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from perdure.core.commands import InspectInstance
from perdure.core.names import Topics, partition_of
from perdure.ports.clock import Clock
from perdure.ports.log import Reader, Record
from perdure.roles.orchestrator.holding import Holding
from perdure.roles.orchestrator.intake import Incoming, Misfit, Sealed, misrouted, read, refused
from perdure.roles.orchestrator.memory import Memory
from perdure.roles.orchestrator.position import Position
from perdure.roles.orchestrator.schemas import Schemas

__all__ = ["Gatherer"]

log = structlog.get_logger("perdure.orchestrator")


class Gatherer:
    """`poison`: offsets of commands that cannot be committed."""

    def __init__(
        self, reader: Reader, memory: Memory, position: Position, topics: Topics, partitions: int, clock: Clock,
        poison: set[int], schemas: Schemas,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._memory = memory
        self._position = position
        self._topics = topics
        self._partitions = partitions
        self._clock = clock
        self._poison = poison
        self._woken = asyncio.Event()
        self._holding = Holding(schemas, position, topics, self.wake)

    def wake(self) -> None:
        """Let `gather` return; from callbacks, any number of times."""
        self._woken.set()
        self._reader.wake()

    async def gather(self, most: int) -> tuple[list[Incoming], list[Misfit]]:
        """At most about `most` requests that can be decided now, and records that are none. Empty after a wake."""
        misfits: list[Misfit] = []
        incoming = self._memory.take_loaded(most)
        released = self._holding.take(most - len(incoming)) if self._holding else []
        for found in released:
            self._route(found, incoming, misfits)
        is_idle = not incoming and not released  # what was released may have to be loaded: the caller sees to that
        if self._position.room == 0:
            if is_idle:
                await self._woken.wait()  # nothing more is read until what waits has its answer
        elif len(incoming) < most:
            if not is_idle:
                self._reader.wake()  # take what is there, do not wait for more
            for record in await self._reader.read(min(most - len(incoming), self._position.room)):
                self._sort(record, incoming, misfits)
        self._woken.clear()
        return incoming, misfits

    def _sort(self, record: Record, incoming: list[Incoming], misfits: list[Misfit]) -> None:
        if not self._position.read(record.offset):
            return
        try:
            self._sort_read(read(record, self._topics), record, incoming, misfits)
        except Exception as error:
            log.exception("a record could not be looked at: it goes to the dead letters", offset=record.offset)
            bare = replace(record, headers=())  # whatever it was that could not be looked at
            self._position.decided(record.offset)
            misfits.append(refused(bare, self._topics, f"it could not be looked at ({type(error).__name__})"))

    def _sort_read(
        self,
        found: Incoming | Sealed | Misfit,
        record: Record,
        incoming: list[Incoming],
        misfits: list[Misfit],
    ) -> None:
        if self._holding and not isinstance(found, Misfit) and self._holding.holds(found.instance_id):
            self._holding.hold(found)
            return
        if isinstance(found, Sealed):
            if not self._is_home(found.instance_id, record):
                found = misrouted(record, self._topics, partition_of(found.instance_id, self._partitions))
            elif (opened := self._holding.open(found)) is not None:
                found = opened
            else:
                self._holding.hold(found)
                return
        self._route(found, incoming, misfits)

    def _route(self, found: Incoming | Misfit, incoming: list[Incoming], misfits: list[Misfit]) -> None:
        misfit: Misfit | None = None
        if isinstance(found, Misfit):
            misfit = found
        elif found.record.offset in self._poison:
            misfit = refused(found.record, self._topics, "its outcome cannot be committed")
        elif self._is_at_hand(found):
            incoming.append(found)
        else:
            misfit = self._park(found)
        if misfit is not None:
            self._position.decided(misfit.offset)
            misfits.append(misfit)

    def _is_at_hand(self, found: Incoming) -> bool:
        memory, key = self._memory, found.instance_id
        if key in memory.parked:
            return False
        if memory.find(key) is not None:
            return True
        if not getattr(found.command, "minted", False) or key in memory.lives or not self._is_home(key, found.record):
            return False
        return memory.begin(key, self._clock.now_us())

    def _park(self, found: Incoming) -> Misfit | None:
        """It waits for its instance to be loaded; unless it came to the wrong partition."""
        if not self._is_home(found.instance_id, found.record):
            return misrouted(found.record, self._topics, partition_of(found.instance_id, self._partitions))
        self._memory.park(found)
        if type(found.command) is not InspectInstance:
            self._position.waits(found.record.offset)
        return None

    def _is_home(self, instance_id: str, record: Record) -> bool:
        return self._partitions == 1 or partition_of(instance_id, self._partitions) == record.partition
