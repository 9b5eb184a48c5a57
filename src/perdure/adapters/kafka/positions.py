"""The group's stored positions: written together, the lazy ones about once a second.

The law: what waits is stored or dropped with its assignment. A store that failed leaves it waiting, under what is newer, for
`waiting` counts as stored with those who ask (`KafkaMember.committed`), and they ask no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from perdure.adapters.kafka.records import Place
from perdure.ports.errors import NotAssigned, PortError
from perdure.ports.log import Committed

__all__ = ["Positions"]

log = structlog.get_logger(__name__)


class Positions:
    """Of one assignment. `store` writes many at once and raises NotAssigned or PortError."""

    def __init__(self, store: Callable[[dict[Place, Committed]], Awaitable[None]], interval_s: float) -> None:
        self._store = store
        self._interval_s = interval_s
        self._waiting: dict[Place, Committed] = {}
        self._assignment = 0
        self._turn = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def waiting(self, place: Place) -> Committed | None:
        return self._waiting.get(place)

    def set_lazily(self, place: Place, committed: Committed) -> None:
        self._waiting[place] = committed
        self._store_later()

    async def set(self, place: Place, committed: Committed) -> None:
        """Returns when it is stored, together with all that wait. Later ones of a place replace earlier ones."""
        self._waiting[place] = committed
        await self.flush()

    async def flush(self) -> None:
        async with self._turn:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._waiting:
                await self._store_waiting()

    async def _store_waiting(self) -> None:
        storing, self._waiting, assignment = self._waiting, {}, self._assignment
        try:
            await self._store(storing)
        except NotAssigned:
            raise
        except PortError:
            if assignment == self._assignment:
                self._waiting = {**storing, **self._waiting}
                self._store_later()
            raise

    def _store_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._start_flush)

    def drop(self) -> None:
        """The partitions are another's: nothing may be stored any more."""
        self._assignment += 1
        self._waiting = {}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_flush(self) -> None:
        self._timer = None
        task = asyncio.get_running_loop().create_task(self._flush_quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _flush_quietly(self) -> None:
        try:
            await self.flush()
        except NotAssigned:
            pass  # whoever reads learns it by the revocation
        except PortError as error:
            log.warning(
                "positions could not be stored, and will be: a successor would read again from the earlier ones",
                error=str(error),
            )
