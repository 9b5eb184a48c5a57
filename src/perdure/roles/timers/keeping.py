"""Keeps a shard's rows in step with its book: one task, so that writing, loading and dropping never overlap.

The law: what is written carries the position of the record that asked for it, and a drop that of the last record known
here. So an owner that has lost its shard, and does not know yet, undoes nothing of its successor's, and leaves nothing
behind that its successor has removed. A slice is dropped only after a position was stored durably, which fails for such
an owner; so a store with one writer need not look at positions.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

import structlog

from perdure.ports.clock import Clock
from perdure.ports.errors import LogClosed, NotAssigned
from perdure.ports.store import EPOCH_SHIFT, StoredTimer, TimerKey, TimerStore
from perdure.roles.timers.book import TimerBook
from perdure.roles.timers.far import Changes
from perdure.roles.timers.near import Timer
from perdure.roles.timers.rows import read_rows, removal_of, row_of
from perdure.roles.timers.settings import TimerSettings, TimerStats

__all__ = ["Keeping"]

logger = structlog.get_logger(__name__)


class Keeping:
    """`prove_ownership` raises NotAssigned if the shard is another's; `on_kept` hears of every round."""

    def __init__(
        self,
        shard: int,
        book: TimerBook,
        *,
        store: TimerStore,
        clock: Clock,
        partitions: int,
        settings: TimerSettings,
        stats: TimerStats,
        prove_ownership: Callable[[], Awaitable[None]],
        on_kept: Callable[[], None],
    ) -> None:
        self._shard = shard
        self._book = book
        self._store = store
        self._clock = clock
        self._partitions = partitions
        self._settings = settings
        self._stats = stats
        self._prove_ownership = prove_ownership
        self._on_kept = on_kept
        self._work = asyncio.Event()
        self._round = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        self._read: set[int] = set()  # slices read while recovering

    def wake(self) -> None:
        """There is something to load or to drop."""
        self._work.set()

    def changed(self) -> None:
        """There is something to write, in a while: much of it is cancelled before."""
        if self._soon is None and self._book.far.changes:
            self._soon = asyncio.get_running_loop().call_later(self._settings.flush_s, self._work.set)

    async def next_round(self) -> None:
        """Wait until the store has taken what was to be written."""
        self._round.clear()
        self._work.set()
        await self._round.wait()

    def close(self) -> None:
        if self._soon is not None:
            self._soon.cancel()

    async def run(self) -> None:
        pause = self._settings.backoff_s
        self._work.set()
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self._keep()
                pause = self._settings.backoff_s
            except (NotAssigned, LogClosed):
                return
            except Exception as error:  # noqa: BLE001 - near timers go on whatever a store raises; rows wait
                logger.warning(
                    "the timer store is behind",
                    shard=self._shard, error=f"{type(error).__name__}: {error}", retry_s=pause,
                )  # fmt: skip
                self._work.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.backoff_max_s)

    async def _keep(self) -> None:
        self.close()
        self._soon = None
        await self._write()
        if not self._book.recovered:
            await self._recover()
        for slice_no in sorted(self._book.unloaded):
            await self._load(slice_no)
        await self._drop()
        self._round.set()
        self._on_kept()

    async def _write(self) -> None:
        changes = self._book.far.hand_out()
        if not changes:
            return
        puts, removes = _by_slice(changes, self._settings.epoch)
        try:
            for slice_no, keys in removes.items():
                await self._store.remove(self._shard, slice_no, keys)
            for slice_no, rows in puts.items():
                await self._store.put(self._shard, slice_no, rows)
        except BaseException:
            self._book.far.refused(changes)
            raise
        self._stats.far_removes += sum(map(len, removes.values()))
        self._stats.far_puts += self._book.written(changes)

    async def _recover(self) -> None:
        up_to = self._book.window
        for slice_no in await self._store.slices(self._shard, up_to):
            if slice_no not in self._read:
                await self._load(slice_no)
                self._read.add(slice_no)
        self._book.recover(up_to)
        self._read.clear()

    async def _load(self, slice_no: int) -> None:
        rows = await self._store.load(self._shard, slice_no)
        self._book.loaded(slice_no, read_rows(rows, self._partitions))
        self._on_kept()

    async def _drop(self) -> None:
        for slice_no in self._book.droppable(self._clock.now_us()):
            await self._prove_ownership()
            position = self._settings.epoch << EPOCH_SHIFT | max(self._book.known_to - 1, 0)
            await self._store.drop_slice(self._shard, slice_no, position)
            self._book.dropped(slice_no)


def _by_slice(changes: Changes, epoch: int) -> tuple[dict[int, list[StoredTimer]], dict[int, list[TimerKey]]]:
    puts: dict[int, list[StoredTimer]] = defaultdict(list)
    removes: dict[int, list[TimerKey]] = defaultdict(list)
    for (slice_no, identity), change in changes.items():
        if isinstance(change, Timer):
            puts[slice_no].append(row_of(change, epoch))
        else:
            removes[slice_no].append(removal_of(identity, change, epoch))
    return puts, removes
