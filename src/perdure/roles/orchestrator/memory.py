"""The instances of a partition that are in memory, and the way of the others into it.

**Law.** What is in memory is what the log says, or ahead of it by the one batch in flight. Only what is stored is
evicted, so that a load always finds everything: the store's events, and over them the tail of the log that a takeover
found unstored.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable

import structlog

from perdure.codec.avro import decode
from perdure.core.events import Event, WorkflowStarted
from perdure.core.instance import Instance, apply
from perdure.core.limits import MINTED_ID_SECONDS
from perdure.core.turn import Live, live_from_history, live_from_row
from perdure.ports.errors import StoreUnavailable
from perdure.ports.store import HistoryStore, StoredInstance
from perdure.roles.orchestrator.intake import Incoming
from perdure.roles.orchestrator.settings import OrchestratorSettings, Stats

__all__ = ["Memory", "minted_at_us"]

log = structlog.get_logger("perdure.orchestrator")

MINT_SLACK_US = 5_000_000  # how far a client's clock may run ahead of an owner's
RECENT_MAX = 200_000


def minted_at_us(instance_id: str) -> int:
    """The time in an id that our client made (uuid7 as 32 hex digits); 0 if it is not one."""
    if len(instance_id) == 32 and instance_id[12] == "7":
        try:
            return int(instance_id[:12], 16) * 1000
        except ValueError:
            return 0
    return 0


class Memory:
    """Cache, loads under way, and the requests that wait for them."""

    def __init__(self, store: HistoryStore, settings: OrchestratorSettings, stats: Stats, now_us: int) -> None:
        self.tail: dict[str, list[Event]] = {}  # unstored events that a takeover found, by instance
        self.lives: OrderedDict[str, Live] = OrderedDict()
        self.parked: dict[str, list[Incoming]] = {}  # requests by the instance whose load they wait for
        self.ready: list[Incoming] = []
        self.pinned: dict[str, int] = {}  # unstored turns by instance
        self._ended: dict[str, None] = {}  # of the lives, oldest first
        self._weights: dict[str, int] = {}
        self._bytes = 0
        self._store = store
        self._settings = settings
        self._stats = stats
        self._wanted: list[str] = []
        self._loading: asyncio.Task[None] | None = None
        self._recent: OrderedDict[str, None] = OrderedDict()  # minted ids that began here
        self._minted_floor_us = now_us + MINT_SLACK_US
        self.failure: BaseException | None = None
        self.on_loaded: Callable[[Live], None] = lambda live: None

    # -- finding ----------------------------------------------------------------------------------------------

    def find(self, instance_id: str) -> Live | None:
        """The instance, if user code could go on with it at once."""
        live = self.lives.get(instance_id)
        if live is None or live.needs_history:
            return None
        self.lives.move_to_end(instance_id)
        return live

    def begin(self, instance_id: str, now_us: int) -> Live | None:
        """A blank instance for an id so fresh that the store cannot know it; None if it has to be asked."""
        minted = minted_at_us(instance_id)
        too_old = max(self._minted_floor_us, now_us - MINTED_ID_SECONDS * 1_000_000)
        if not too_old < minted <= now_us + MINT_SLACK_US or instance_id in self._recent or instance_id in self.tail:
            return None
        self._recent[instance_id] = None
        if len(self._recent) > RECENT_MAX:
            oldest, _ = self._recent.popitem(last=False)
            self._minted_floor_us = max(self._minted_floor_us, minted_at_us(oldest))
        return Live(Instance(instance_id))

    def keep(self, live: Live, weight: int) -> None:
        instance_id = live.instance.instance_id
        if live.instance.started is None:
            if instance_id in self.lives:
                self._pop(instance_id)
            return
        self.lives[instance_id] = live
        if live.instance.ended:
            self._ended[instance_id] = None
        else:
            self._ended.pop(instance_id, None)
        self._bytes += weight - self._weights.get(instance_id, 0)
        self._weights[instance_id] = weight

    def evictable(self) -> list[Live]:
        """The least recently used ones above the bounds, of those that are stored; they are no longer here."""
        settings = self._settings
        out = self._evict_ended(len(self._ended) - settings.cache_ended_max)
        over = len(self.lives) - settings.cache_instances_max
        if over > 0 or self._bytes > settings.cache_bytes_max:
            for instance_id in list(self.lives):
                if over <= 0 and self._bytes <= settings.cache_bytes_max:
                    break
                if self._is_free(instance_id):
                    out.append(self._pop(instance_id))
                    over -= 1
        self._stats.evictions += len(out)
        return out

    def _evict_ended(self, over: int) -> list[Live]:
        if over <= 0:
            return []
        oldest = list(itertools.islice(self._ended, over))
        return [self._pop(each) for each in oldest if self._is_free(each)]

    def _is_free(self, instance_id: str) -> bool:
        return instance_id not in self.pinned and instance_id not in self.parked

    def _pop(self, instance_id: str) -> Live:
        self._ended.pop(instance_id, None)
        self._bytes -= self._weights.pop(instance_id, 0)
        return self.lives.pop(instance_id)

    # -- loading ----------------------------------------------------------------------------------------------

    def park(self, incoming: Incoming) -> None:
        """Hold a request until its instance is loaded. Later requests of the instance follow it here."""
        waiting = self.parked.get(incoming.instance_id)
        if waiting is not None:
            waiting.append(incoming)
            return
        self.parked[incoming.instance_id] = [incoming]
        self._wanted.append(incoming.instance_id)

    def want(self, instance_ids: Iterable[str]) -> None:
        """Load these though nothing asked for them."""
        for instance_id in instance_ids:
            if instance_id not in self.parked:
                self.parked[instance_id] = []
                self._wanted.append(instance_id)

    def load(self, wake: Callable[[], None]) -> None:
        """Start a load of what is wanted, unless one is under way. Instances that are not stored yet wait."""
        if self._loading is not None or not self._wanted:
            return
        now = [each for each in self._wanted if each not in self.pinned]
        if not now:
            return
        self._wanted = [each for each in self._wanted if each in self.pinned]
        self._loading = asyncio.get_running_loop().create_task(self._load(now[:1000], wake))
        self._wanted += now[1000:]

    @property
    def waits_for_store(self) -> bool:
        """Somebody wants an instance whose latest turn is not stored yet."""
        return any(each in self.pinned for each in self._wanted)

    async def _load(self, instance_ids: list[str], wake: Callable[[], None]) -> None:
        pause = self._settings.retry_s
        while True:
            try:
                rows = await self._store.load(instance_ids, events=False)
                active = [key for key, found in rows.items() if found.row.status not in _ENDED]
                rows.update(await self._store.load(active) if active else {})
                break
            except StoreUnavailable as error:
                self._stats.store_failures += 1
                log.warning("the store does not answer; commands that need it wait", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.retry_s_max)
            except Exception as error:  # noqa: BLE001 - told to the owner, which takes the partition over again
                self.failure = error
                wake()
                return
        try:
            for instance_id in instance_ids:
                self._loaded(instance_id, rows.get(instance_id))
        except Exception as error:  # noqa: BLE001
            self.failure = error
        self._loading = None
        wake()

    def _loaded(self, instance_id: str, stored: StoredInstance | None) -> None:
        self._stats.loads += 1
        live = lay_over(instance_id, stored, self.tail.get(instance_id, []))
        if live.instance.started is not None:
            self.lives[instance_id] = live
            if live.instance.ended:
                self._ended[instance_id] = None
            self.on_loaded(live)
        waiting = self.parked.pop(instance_id)
        if live.instance.started is None and waiting:
            self.lives[instance_id] = live  # blank: the first command may begin it; `keep` drops it if not
        self.ready += waiting

    def stop(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            self._loading = None


_ENDED = frozenset(("COMPLETED", "FAILED", "TERMINATED", "PURGED"))


def lay_over(instance_id: str, stored: StoredInstance | None, tail: list[Event]) -> Live:
    """What the store has, and over it the events that the log has beyond."""
    begins = [index for index, event in enumerate(tail) if isinstance(event, WorkflowStarted)]
    if begins:
        return live_from_history(instance_id, tail[begins[-1] :])
    if stored is None:
        return Live(Instance(instance_id))
    row = stored.row
    tail = [
        event
        for event in tail
        if (event.run, event.generation) == (row.run, row.generation) and event.seq > row.last_seq
    ]
    if row.status in _ENDED:
        live = live_from_row(row)
        for event in tail:
            apply(live.instance, event)
        return live
    history: list[Event] = [decode(event.value) for event in stored.events]
    return live_from_history(instance_id, [*history, *tail])
