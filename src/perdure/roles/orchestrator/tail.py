"""What a takeover finds in the log and the store lacks: each instance of it is loaded, and then stored as it is.

**Law.** Nothing is written behind before all of the tail is in memory: "stored up to" must not pass an event of it. Of an
instance that cannot be read the tail stays in the log: "stored up to" does not pass it in this tenure or a later one, until
the instance was repaired and its tail is stored like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from perdure.codec.encoder import Encoder
from perdure.core.events import Event
from perdure.core.instance import Instance
from perdure.core.rows import InstanceRow
from perdure.core.turn import Live
from perdure.ports.store import Replaced, StoredEvent, StoredTurn
from perdure.roles.orchestrator.memory import Memory
from perdure.roles.orchestrator.takeover import ResumePoint
from perdure.roles.orchestrator.tracing import Following
from perdure.roles.orchestrator.writebehind import Unstored, WriteBehind

__all__ = ["Tail"]

log = structlog.get_logger("perdure.orchestrator")


class Tail:
    """`marker_offset` tells the last marker that is committed now."""

    def __init__(
        self,
        point: ResumePoint,
        memory: Memory,
        behind: WriteBehind,
        following: Following,
        encode: Encoder,
        marker_offset: Callable[[], int],
    ) -> None:
        self._left = dict.fromkeys(point.tail)  # in the order of the log
        self._memory = memory
        self._behind = behind
        self._following = following
        self._encode = encode
        self._marker_offset = marker_offset
        self._stalled: list[InstanceRow] = []
        self._unreadable: set[str] = set()  # their tail cannot be stored
        memory.tail, memory.damages = point.tail, point.damages
        memory.on_loaded = self._loaded
        memory.on_unreadable = self._found_unreadable

    @property
    def is_loaded(self) -> bool:
        """All that can be: the store is being written."""
        return not self._left

    @property
    def is_whole(self) -> bool:
        """Nothing of it has to stay in the log."""
        return not self._left and not self._unreadable

    def begin(self) -> None:
        """Have it loaded."""
        if not self._left:
            self._behind.start(self._behind.stored_to)
        self._memory.want(self._left)

    def take_stalled(self) -> list[InstanceRow]:
        """Those among it that are stalled, since the last call."""
        rows, self._stalled = self._stalled, []
        return rows

    def _loaded(self, live: Live) -> None:
        instance = live.instance
        key = instance.instance_id
        if key not in self._left and key not in self._unreadable:
            return
        if instance.started is None:  # events of a run that never began: no owner has written them
            log.error("history holds events of an instance that never started; they are left out", instance_id=key)
            del self._memory.tail[key]
            self._done(key)
            return
        events = self._memory.tail[key]
        self._following.taken_over(live, events)
        unstored: Unstored = {key: _turn(instance, events, self._encode)}
        self._behind.pin(unstored)
        self._behind.add(unstored, self._marker_offset())
        if instance.stalled is not None:
            self._stalled.append(instance.row())
        self._done(key)

    def _found_unreadable(self, instance_id: str) -> None:
        if instance_id in self._left:
            self._unreadable.add(instance_id)
            self._behind.floor = self._behind.stored_to
            self._done(instance_id)

    def _done(self, instance_id: str) -> None:
        if instance_id in self._left:
            del self._left[instance_id]
            if not self._left:
                self._behind.start(self._behind.stored_to)
        else:  # repaired
            self._unreadable.remove(instance_id)
            if not self._unreadable:
                self._behind.floor = None


def _turn(instance: Instance, events: Sequence[Event], encode: Encoder) -> StoredTurn:
    """Of the latest generation its events; of the others, which the owner before may have begun to store, only that."""
    place = (instance.run, instance.generation)
    stored: list[StoredEvent] = []
    over: dict[tuple[str, int], int] = {}
    for event in events:
        if (event.run, event.generation) == place:
            stored.append(StoredEvent(event.seq, encode.again(event)))
        else:
            over[event.run, event.generation] = event.seq
    return StoredTurn(instance.row(), stored, [Replaced(*each, last_seq) for each, last_seq in over.items()])
