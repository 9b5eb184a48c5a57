"""The instances of a partition that are in memory, and the way of the others into it.

**Law.** What is in memory is what the log says, or ahead of it by the one batch in flight. Only what is stored is
evicted, so that a load always finds everything: the store's events, and over them the tail of the log that a takeover
found unstored.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence

import structlog

from perdure.codec.avro import decode
from perdure.core.commands import InspectInstance
from perdure.core.events import Event, WorkflowStarted
from perdure.core.instance import Instance, apply
from perdure.core.limits import MINTED_ID_SECONDS
from perdure.core.turn import Live, live_from_history, live_from_row
from perdure.ports.errors import REPAIR, HistoryDamaged, StoreUnavailable
from perdure.ports.store import HistoryStore, StoredInstance
from perdure.roles.orchestrator.budget import Budget
from perdure.roles.orchestrator.intake import Incoming
from perdure.roles.orchestrator.settings import OrchestratorSettings, Stats

__all__ = ["Memory", "minted_at_us"]

log = structlog.get_logger("perdure.orchestrator")

MINT_SLACK_US = 5_000_000  # how far a client's clock may run ahead of an owner's
RECENT_MAX = 200_000
QUESTIONS_PARKED_MAX = 10_000  # that wait for instances from the store; one more is not held, its client asks again


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

    def __init__(
        self, store: HistoryStore, settings: OrchestratorSettings, stats: Stats, now_us: int, budget: Budget
    ) -> None:
        self.tail: dict[str, list[Event]] = {}  # unstored events that a takeover found, by instance
        self.damages: dict[str, str] = {}  # what of the tail cannot be read
        self.lives: OrderedDict[str, Live] = OrderedDict()
        self.parked: dict[str, list[Incoming]] = {}  # requests by the instance whose load they wait for
        self._asked: set[tuple[str, str]] = set()  # questions among the parked: instance and command id
        self.unreadable: dict[str, str] = {}  # why an instance cannot be loaded, for those that wait for it
        self._loaded: deque[str] = deque()  # parked ones that can be taken
        self.pinned: dict[str, int] = {}  # unstored turns by instance
        self._ended: dict[str, None] = {}  # of the lives, oldest first
        self._weights: dict[str, int] = {}
        self._bytes = 0
        self._store = store
        self._settings = settings
        self._stats = stats
        self._budget = budget
        self._wanted: list[str] = []
        self._loading: asyncio.Task[None] | None = None
        self._recent: OrderedDict[str, None] = OrderedDict()  # minted ids that began here
        self._minted_floor_us = now_us + MINT_SLACK_US
        self.failure: BaseException | None = None
        self.on_loaded: Callable[[Live], None] = lambda _: None
        self.on_unreadable: Callable[[str], None] = lambda _: None

    # -- finding ----------------------------------------------------------------------------------------------

    def find(self, instance_id: str) -> Live | None:
        """The instance, if user code could go on with it at once."""
        live = self.lives.get(instance_id)
        if live is None or live.needs_history:
            return None
        self.lives.move_to_end(instance_id)
        return live

    def begin(self, instance_id: str, now_us: int) -> bool:
        """Put a blank instance here for an id so fresh that the store cannot know it; False if it has to be asked."""
        minted = minted_at_us(instance_id)
        if minted <= max(self._minted_floor_us, now_us - MINTED_ID_SECONDS * 1_000_000):
            return False
        if instance_id in self._recent or instance_id in self.tail:
            return False
        self._remember(instance_id)
        if minted > now_us + MINT_SLACK_US:
            return False  # its clock runs ahead of ours; known here all the same, for when it seems fresh later
        self.lives[instance_id] = Live(Instance(instance_id))
        return True

    def keep(self, live: Live, weight: int) -> None:
        instance_id = live.instance.instance_id
        if live.instance.started is None:
            return
        self.lives[instance_id] = live
        if instance_id not in self._weights and minted_at_us(instance_id):
            self._remember(instance_id)  # whatever its start said: it is not to begin here as if it were new
        if live.instance.ended:
            self._ended[instance_id] = None
        else:
            self._ended.pop(instance_id, None)
        self._bytes += weight - self._weights.get(instance_id, 0)
        self._weights[instance_id] = weight

    def _remember(self, instance_id: str) -> None:
        self._recent[instance_id] = None
        if len(self._recent) > RECENT_MAX:
            oldest, _ = self._recent.popitem(last=False)
            self._minted_floor_us = max(self._minted_floor_us, minted_at_us(oldest))

    def forget_blank(self, instance_id: str) -> None:
        """An instance that no command has begun is nothing to keep, unless more of its commands wait."""
        live = self.lives.get(instance_id)
        if live is not None and live.instance.started is None and instance_id not in self.parked:
            self._pop(instance_id)

    def evictable(self) -> list[Live]:
        """The least recently used ones above the bounds, of those that are stored; they are no longer here."""
        settings = self._settings
        out = self._evict_ended(len(self._ended) - settings.cache_ended_max)
        over = len(self.lives) - settings.cache_instances_max
        bytes_max = self._budget.cache_bytes_max
        if over > 0 or self._bytes > bytes_max:
            for instance_id in list(self.lives):
                if over <= 0 and self._bytes <= bytes_max:
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
        if type(incoming.command) is InspectInstance and not self._has_room_for(incoming):
            return
        waiting = self.parked.get(incoming.instance_id)
        if waiting is not None:
            waiting.append(incoming)
            return
        self.parked[incoming.instance_id] = [incoming]
        self._wanted.append(incoming.instance_id)

    def put_back(self, instance_id: str, left: list[Incoming]) -> None:
        """Hold requests again that were taken and not decided: before those of the instance that still wait."""
        waiting = self.parked.get(instance_id)
        if waiting is None:
            self.parked[instance_id] = left
            self._wanted.append(instance_id)
        else:
            waiting[:0] = left

    def _has_room_for(self, question: Incoming) -> bool:
        """Clients ask again until they are answered: the same question is held once, and not too many of them."""
        asked = (question.instance_id, question.command.command_id)
        if asked in self._asked or len(self._asked) >= QUESTIONS_PARKED_MAX:
            return False
        self._asked.add(asked)
        return True

    def want(self, instance_ids: Iterable[str]) -> None:
        """Load these though nothing asked for them."""
        for instance_id in instance_ids:
            if instance_id not in self.parked:
                self.parked[instance_id] = []
                self._wanted.append(instance_id)

    def take_loaded(self, most: int) -> list[Incoming]:
        """At most `most` requests whose instances are here now, instance by instance, in the order of the log."""
        taken: list[Incoming] = []
        while self._loaded and len(taken) < most:
            key = self._loaded[0]
            waiting = self.parked[key]
            live = self.lives.get(key)
            if live is not None and live.needs_history:  # it stalled since: once more from the store
                self._loaded.popleft()
                self._wanted.append(key)
                continue
            room = most - len(taken)
            taken += waiting[:room]
            if self._asked:
                questions = (each.command for each in waiting[:room] if type(each.command) is InspectInstance)
                self._asked.difference_update((key, question.command_id) for question in questions)
            del waiting[:room]
            if not waiting:
                self._loaded.popleft()
                del self.parked[key]
        return taken

    @property
    def waits_for_store(self) -> bool:
        """Somebody wants an instance whose latest turn is not stored yet."""
        return any(each in self.pinned for each in self._wanted)

    def load(self, wake: Callable[[], None]) -> None:
        """Start to load what is wanted, unless that is under way. Instances that are not stored yet wait."""
        if self._loading is None and any(each not in self.pinned for each in self._wanted):
            self._loading = asyncio.get_running_loop().create_task(self._load(wake))

    async def _load(self, wake: Callable[[], None]) -> None:
        try:
            while keys := [each for each in self._wanted if each not in self.pinned][:LOADED_AT_ONCE]:
                found, damages = await self._ask(keys)
                for key in keys:
                    self._wanted.remove(key)
                    self._arrived(key, found.get(key), damages.get(key, ""))
                wake()
        except Exception as error:  # noqa: BLE001 - told to the owner, which takes the partition over again
            self.failure = error
        self._loading = None
        wake()

    async def _ask(self, keys: list[str]) -> tuple[dict[str, StoredInstance], dict[str, str]]:
        """Rows of all, events of the active ones; what is wrong with the damaged. Waits for a store that is away.

        Those whose generation begins in the log's tail need nothing of the store.
        """
        pause = self._settings.retry_s
        damages: dict[str, str] = {}
        keys = [key for key in keys if not _begins(self.tail.get(key, ()))]
        while keys:
            try:
                rows = await self._store.load([key for key in keys if key not in damages], events=False)
                active = [key for key, found in rows.items() if found.row.status not in _ENDED]
                return rows | (await self._store.load(active) if active else {}), damages
            except HistoryDamaged as error:
                if error.damages.keys() <= damages.keys():
                    raise  # a store that says nothing new would be asked for ever
                damages |= error.damages
            except StoreUnavailable as error:
                self._stats.store_failures += 1
                log.warning("the store does not answer; commands that need it wait", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.retry_s_max)
        return {}, damages

    def _arrived(self, key: str, stored: StoredInstance | None, damage: str) -> None:
        self._stats.loads += 1
        waiting = self.parked[key]
        try:
            if key in self.damages:
                raise ValueError(self.damages[key])  # noqa: TRY301 - it is as damaged as what the store cannot give
            live = lay_over(key, stored, self.tail.get(key, []), damage)
        except Exception as error:  # noqa: BLE001 - a damaged history stops its own instance, nobody else's
            reason = f"the stored history of '{key}' cannot be read: {error}. {REPAIR}"
            if self.unreadable.get(key) != reason:  # each request asks again, and is answered
                log.error("a stored history cannot be read", instance_id=key, reason=reason)
            self.unreadable[key] = reason
            live = None
            self.on_unreadable(key)
        if live is not None and (live.instance.started is not None or waiting):
            self.lives[key] = live  # a blank one may be begun by the first command that waits
            self.unreadable.pop(key, None)
            if live.instance.ended:
                self._ended[key] = None
        if live is not None and (live.instance.started is not None or key in self.tail):
            self.on_loaded(live)
        if waiting:
            self._loaded.append(key)
        else:
            del self.parked[key]

    def inherit(self, before: Memory) -> None:
        """Take over what an earlier memory of the same process had, nobody having decided anything in between."""
        self._recent, self._minted_floor_us = before._recent, before._minted_floor_us
        for key, live in before.lives.items():
            if live.instance.started is not None:
                self.keep(live, before._weights.get(key, 0))

    def stop(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            self._loading = None


LOADED_AT_ONCE = 1_000
_ENDED = frozenset(("COMPLETED", "FAILED", "TERMINATED", "PURGED"))


def _begins(tail: Sequence[Event]) -> list[int]:
    """Where generations begin in it."""
    return [index for index, event in enumerate(tail) if isinstance(event, WorkflowStarted)]


def lay_over(instance_id: str, stored: StoredInstance | None, tail: list[Event], damage: str = "") -> Live:
    """What the store has, and over it the events that the log has beyond. `damage`: why the store's cannot be read."""
    if begins := _begins(tail):
        return live_from_history(instance_id, _gapless(tail[begins[-1] :]))
    if damage:
        raise ValueError(damage)
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
        for event in _gapless(tail, row.last_seq):
            apply(live.instance, event)
        return live
    history: list[Event] = [decode(event.value) for event in stored.events]
    return live_from_history(instance_id, _gapless([*history, *tail]))


def _gapless(events: list[Event], after: int = 0) -> list[Event]:
    """Raises ValueError where one is missing, or is another's."""
    for seq, event in enumerate(events, start=after + 1):
        if event.seq != seq:
            raise ValueError(f"where event {seq} should be there is event {event.seq}")
    return events
