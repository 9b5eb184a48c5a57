"""The timer role: holds timers, and fires each when it is due. Late rather than never; again rather than not.

In: `<ns>.timers`, group `<ns>.timer`, a shard being a partition. Out: `<ns>.instances` (FireTimer),
`<ns>.dead-letters`. State: rows of far timers in the timer store; what is due soon is in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from perdure.codec.encoder import Encoder
from perdure.core.names import Topics
from perdure.ports.clock import Clock
from perdure.ports.log import GroupListener, Log, Membership
from perdure.ports.store import TimerStore
from perdure.roles.timers.settings import TimerSettings, TimerStats
from perdure.roles.timers.shard import Shard

__all__ = ["TimerService"]


class TimerService(GroupListener):
    """An instance is started once and stopped once. `start` raises `TopicMissing`.

    `on_failure` hears what ended a shard that is still assigned.
    """

    def __init__(
        self,
        *,
        log: Log,
        store: TimerStore,
        clock: Clock,
        topics: Topics,
        settings: TimerSettings | None = None,
        on_failure: Callable[[BaseException], None] | None = None,
        encode: Encoder | None = None,
    ) -> None:
        self._settings = settings or TimerSettings()
        if self._settings.near_s > self._settings.slice_s:
            raise ValueError(
                "near_s must not be longer than slice_s: a near timer has no row, so it has to be in the window"
            )
        self._log = log
        self._store = store
        self._clock = clock
        self._topics = topics
        self._stats = TimerStats()
        self._on_failure = on_failure
        self._encode = encode or Encoder()
        self._shards: dict[int, Shard] = {}
        self._started = self._closed = False

    @property
    def shards(self) -> Mapping[int, Shard]:
        """What is assigned now, by partition."""
        return self._shards

    @property
    def stats(self) -> TimerStats:
        self._stats.pending_near = sum(shard.pending_near for shard in self._shards.values())
        return self._stats

    async def start(self) -> None:
        """Returns when the first shards are assigned."""
        topics = self._topics
        self._counts = (
            await self._log.partitions(topics.instances),
            await self._log.partitions(topics.dead_letters),
        )
        self._started = True
        self._membership: asyncio.Future[Membership] = asyncio.get_running_loop().create_future()
        self._membership.set_result(await self._log.join(f"{topics.namespace}.timer", [topics.timers], self))

    async def stop(self) -> None:
        """Finish what is being sent, store positions, leave. Twice is harmless."""
        if self._closed or not self._started:
            return
        self._closed = True
        if self._membership.done():  # else the join failed
            await self._membership.result().leave()
        await self.abandon()

    async def abandon(self) -> None:
        """End as a crash would: nothing more is sent, stored or left. For tests, and after `stop`."""
        self._closed = True
        for shard in self._shards.values():
            await shard.abandon()
        self._shards.clear()

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        if self._closed:
            return
        for number in partitions:
            earlier = self._shards.pop(number, None)
            if earlier is not None:  # thrown out without being told, and back again
                await earlier.abandon()
            shard = self._shards[number] = Shard(
                number,
                log=self._log,
                store=self._store,
                clock=self._clock,
                topics=self._topics,
                counts=self._counts,
                membership=self._membership,
                settings=self._settings,
                stats=self._stats,
                on_failure=self._on_failure,
                encode=self._encode,
            )
            shard.start()

    async def on_revoked(self, partitions: Sequence[int]) -> None:
        shards = [self._shards.pop(number) for number in partitions if number in self._shards]
        await asyncio.gather(*(shard.stop() for shard in shards))
