"""The position that the group stores: for whoever looks at the lag; owners resume from history, not from it.

**Law.** It passes no command that waits to be decided, and in one tenure it never goes back: one task tells it, and what
it tells is the most so far. It is told late rather than never: about once a second while it moves, and after the last move
until the group has it. Then nothing is asked any more until something is decided.

Rejected: telling with each commit (a write of the embedded engine, a request each on Kafka); telling with the first
commit after a second (what comes after it within the second is never told if nothing else comes).
"""

from __future__ import annotations

import asyncio

import structlog

from perdure.ports.errors import LogClosed, NotAssigned, PortError
from perdure.ports.log import Reader
from perdure.roles.orchestrator.position import Position

__all__ = ["Telling"]

log = structlog.get_logger("perdure.orchestrator")

POSITION_SECONDS = 1.0


class Telling:
    """Of one tenure. `begin`, any number of `decided` and `look`, `stop`."""

    def __init__(self, partition: int, reader: Reader, position: Position) -> None:
        self._partition = partition
        self._reader = reader
        self._position = position
        self._decided_to = position.start  # commands below it are decided and committed
        self._told = -1
        self._news = False
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def begin(self) -> None:
        """Told a second from now: until then the reader has passed the ends of transactions that the group passed before."""
        self._start(POSITION_SECONDS)

    def decided(self, offset: int) -> None:
        """All below it is decided and committed, or a question."""
        if offset > self._decided_to:
            self._decided_to = offset
            self._hear()

    def look(self) -> None:
        """The reader may have passed something that is no command."""
        if self.reached > self._told:
            self._hear()

    @property
    def reached(self) -> int:
        """How far all is decided; at rest past the ends of transactions, which take offsets and are no records."""
        if self._decided_to == self._position.next_offset:  # nothing that was read is left to decide
            return max(self._told, self._decided_to, self._reader.position)
        return max(self._told, self._decided_to)

    async def stop(self, *, last: bool) -> None:
        """Nothing is told after this; with `last`, what was decided since is told now."""
        self._stopped = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if last and (at := self.reached) > self._told:
            try:
                await self._reader.commit(at, lazy=True)
            except PortError as error:
                log.info("the last position is not told", partition=self._partition, error=str(error))

    def _hear(self) -> None:
        self._news = True
        if self._task is None:
            self._start(0.0)

    def _start(self, after_s: float) -> None:
        if not self._stopped:
            self._news = True
            self._task = asyncio.get_running_loop().create_task(self._run(after_s))

    async def _run(self, after_s: float) -> None:
        if after_s:
            await asyncio.sleep(after_s)
        while self._news:
            self._news = False
            try:
                self._news = await self._tell() or self._news
            except (NotAssigned, LogClosed):
                return  # the tenure is over: `look` begins nothing more
            except Exception as error:  # noqa: BLE001 - whatever keeps it from being told, it is told later
                self._news = True
                log.info("the group was not told the position; later", partition=self._partition, error=str(error))
            await asyncio.sleep(POSITION_SECONDS)
        self._task = None

    async def _tell(self) -> bool:
        """Whether to look again. What is stored lazily may be lost on its way: it is asked for before there is peace."""
        at = self.reached
        if at == self._told and (await self._reader.committed()).offset >= at:
            return False
        await self._reader.commit(at, lazy=True)
        self._told = at
        return True
