"""The store, after the commit: many instances at a time, off the partition's path, bounded.

Rows and events are taken when a batch is composed and handed over when it has committed, so that nothing speculative is
ever stored. Writing twice is harmless; an instance is free to be evicted once nothing of it is left here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from perdure.ports.errors import PortError, StoreUnavailable
from perdure.ports.store import HistoryStore, Replaced, StoredTurn
from perdure.roles.orchestrator.budget import Budget
from perdure.roles.orchestrator.memory import Memory
from perdure.roles.orchestrator.settings import OrchestratorSettings, Stats

__all__ = ["Unstored", "WriteBehind", "merge"]

log = structlog.get_logger("perdure.orchestrator")

REST_SECONDS = 2.0

WAITING_INSTANCE_BYTES = 6 * 1024
"""In memory, beside its events: what waits is not evicted. Measured: 5.6 kB an instance, and a row."""

Unstored = dict[str, StoredTurn]
"""By instance: its row and its new events."""


def merge(into: Unstored, turn: StoredTurn) -> None:
    """Later news of an instance over earlier ones; an earlier generation's events are of no use any more.

    They may have been given to the store, which failed half-way: then it has to know what to clear away.
    """
    row = turn.row
    before = into.get(row.instance_id)
    if before is None:
        into[row.instance_id] = StoredTurn(row, turn.events, turn.replaced)
    elif (before.row.run, before.row.generation) == (row.run, row.generation):
        before.row = row
        before.events += turn.events
    else:
        over = Replaced(before.row.run, before.row.generation, before.row.last_seq)
        into[row.instance_id] = StoredTurn(row, turn.events, [*before.replaced, over, *turn.replaced])


class WriteBehind:
    """One partition's. `offset` is that of the last marker whose batch is covered."""

    def __init__(
        self, partition: int, store: HistoryStore, memory: Memory, settings: OrchestratorSettings, stats: Stats,
        budget: Budget,
    ) -> None:  # fmt: skip
        self._partition = partition
        self._store = store
        self._memory = memory
        self._settings = settings
        self._stats = stats
        self._budget = budget
        self._dirty: Unstored = {}
        self._counts: dict[str, int] = {}
        self._marker = -1
        self._bytes = 0  # what is being written among them
        self._being_written = 0  # instances
        self._is_released = False
        self.stored_to = 0
        self.floor: int | None = None  # "stored up to" goes no further while something above it cannot be stored
        self._news = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._caught_up.set()
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.on_stored: Callable[[], None] = lambda: None
        self.on_rest: Callable[[], Awaitable[None]] | None = None  # nothing has been committed for a while
        self.squeezed: Callable[[], None] = lambda: None  # the partition shares the process with more of them now

    def start(self, stored_to: int) -> None:
        self.stored_to = stored_to
        self._task = asyncio.get_running_loop().create_task(self._run())

    def add(self, turns: Unstored, marker_offset: int) -> None:
        """A batch has committed; its last record is at marker_offset."""
        self._marker = marker_offset
        for turn in turns.values():
            merge(self._dirty, turn)
            self._bytes += sum(len(event.value) for event in turn.events)
            key = turn.row.instance_id
            self._counts[key] = self._counts.get(key, 0) + 1
        self._tell_weight()
        self._news.set()

    def pin(self, turns: Unstored) -> None:
        """A batch is about to commit: none of its instances may be evicted before it is stored."""
        pinned = self._memory.pinned
        for key in turns:
            pinned[key] = pinned.get(key, 0) + 1

    @property
    def waiting_bytes(self) -> int:
        """Committed but not stored yet."""
        return self._bytes

    @property
    def full(self) -> bool:
        """So much waits for the store that the owner reads nothing more."""
        return not self._caught_up.is_set()

    async def room(self) -> None:
        """Wait while the store is too far behind, or until `release`."""
        await self._caught_up.wait()

    def look_for_room(self) -> None:
        """What waits here, or of other partitions of the process, has changed."""
        enough = self._bytes > self._settings.store_lag_bytes_max or not self._budget.has_room(self)
        if enough and not self._is_released:
            self._caught_up.clear()
        else:
            self._caught_up.set()

    @property
    def weight(self) -> int:
        """What of it is in memory."""
        return self._bytes + WAITING_INSTANCE_BYTES * (len(self._dirty) + self._being_written)

    def _tell_weight(self) -> None:
        self._budget.holds(self, self.weight)

    def release(self) -> None:
        """Nobody needs to wait for room any more."""
        self._is_released = True
        self._caught_up.set()

    def hurry(self) -> None:
        """Somebody waits for an instance to be stored."""
        self._hurry.set()

    async def stop(self, *, flush: bool, within_s: float = 5.0) -> None:
        """End; with `flush`, write what is left first, if the store answers in time."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if flush and self._dirty and task is not None:  # never started: a tail is not complete here
            try:
                async with asyncio.timeout(within_s):
                    await self._write()
            except (StoreUnavailable, TimeoutError) as error:
                log.warning("left for the next owner to store", partition=self._partition, error=str(error))
        self._budget.leave(self)

    async def _run(self) -> None:
        pause = self._settings.retry_s
        while True:
            await self._rest_until_news()
            if not self._hurry.is_set():
                try:
                    async with asyncio.timeout(self._settings.write_behind_s):
                        await self._hurry.wait()
                except TimeoutError:
                    pass
            self._hurry.clear()
            try:
                await self._write()
                pause = self._settings.retry_s
            except Exception as error:  # noqa: BLE001 - it stays here, the lag is bounded, and it is tried again
                self._stats.store_failures += 1
                log.warning("the store does not take what is committed; it waits", error=str(error), bytes=self._bytes)
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.retry_s_max)

    async def _rest_until_news(self) -> None:
        pause = REST_SECONDS
        while not self._news.is_set() and self.on_rest is not None:
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                try:
                    await self.on_rest()
                    break
                except PortError as error:
                    log.info("the store was not told that nothing happens", partition=self._partition, error=str(error))
                    pause = max(pause, self._settings.retry_s_max)
        await self._news.wait()

    async def _write(self) -> None:
        self._news.clear()
        dirty, counts, marker, size = self._dirty, self._counts, self._marker, self._bytes
        if marker < 0:
            return
        self._dirty, self._counts, self._being_written = {}, {}, len(dirty)
        position = (self._settings.epoch << 48) | marker
        reached = marker if self.floor is None else min(marker, self.floor)
        try:
            await self._store.append(self._partition, reached, position, list(dirty.values()))
        except BaseException:
            for turn in self._dirty.values():
                merge(dirty, turn)
            for key, count in self._counts.items():
                counts[key] = counts.get(key, 0) + count
            self._dirty, self._counts, self._being_written = dirty, counts, 0
            self._tell_weight()
            self._news.set()
            raise
        self.stored_to = reached
        self._unpin(counts)
        self.on_stored()
        self._bytes -= size
        self._being_written = 0
        self._tell_weight()

    def _unpin(self, counts: dict[str, int]) -> None:
        pinned, tail = self._memory.pinned, self._memory.tail
        for key, count in counts.items():
            left = pinned.get(key, 0) - count
            if left > 0:
                pinned[key] = left
            else:
                pinned.pop(key, None)
                tail.pop(key, None)
