"""The stores: an index of what the log holds. Written behind the commit, idempotently; never asked to decide.

Adapters: memory, sqlite, cassandra. Each sentence is a conformance test.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from perdure.core.rows import InstanceRow

__all__ = [
    "EPOCH_SHIFT",
    "Filter",
    "HistoryStore",
    "Page",
    "Replaced",
    "Resting",
    "StoredEvent",
    "StoredInstance",
    "StoredTimer",
    "StoredTurn",
    "TimerKey",
    "TimerStore",
]

EPOCH_SHIFT = 48
"""A position is epoch << 48 | history offset."""


@dataclass(slots=True)
class StoredEvent:
    """One event of a generation as the log holds it: `value` is the record's bytes."""

    seq: int
    value: bytes


@dataclass(slots=True)
class Replaced:
    """A generation that was over before the store had taken it. `last_seq`: of its last event that was given."""

    run: str
    generation: int
    last_seq: int


@dataclass(slots=True)
class StoredTurn:
    """What is new of one instance since it was last stored: its row, and its events in order.

    `row.status == "PURGED"`: delete the run's events and payloads, keep the tombstone. `generation` began anew when
    the row's (run, generation) differs from the stored one: events of the earlier one are deleted. `replaced`: so are
    those of these, which an append that failed half-way may have left without a row that tells of them.
    """

    row: InstanceRow
    events: list[StoredEvent] = field(default_factory=list)
    replaced: list[Replaced] = field(default_factory=list)


@dataclass(slots=True)
class Resting:
    """A partition in which nothing happens: its last batch marker, should the log lose it by its age.

    `end` is where history ended when nothing was under way after the marker: a log that still ends there has lost
    nothing that is not in the store. `commands_end` is how far the commands had been read then, everything below it being
    decided: a log of commands that begins no later has lost none of them.
    """

    offset: int  # of the marker
    marker: bytes
    end: int
    commands_end: int


@dataclass(slots=True)
class StoredInstance:
    """A row, and the events of its run and generation in order (empty if they were not asked for)."""

    row: InstanceRow
    events: list[StoredEvent] = field(default_factory=list)


@dataclass(slots=True)
class Filter:
    """All given conditions hold. Times are microseconds; `created_from` inclusive, `created_to` exclusive."""

    names: Sequence[str] = ()
    statuses: Sequence[str] = ()
    id_prefix: str = ""
    created_from_us: int = 0
    created_to_us: int = 0


@dataclass(slots=True)
class Page:
    """Rows (tombstones never), newest first by created_at, then by id; `next` continues, `""` at the end."""

    rows: list[InstanceRow]
    next: str = ""


class HistoryStore(ABC):
    """Histories and rows. Reading gives what was appended last; nothing is lost by a crash once `append` returned."""

    @abstractmethod
    async def append(self, partition: int, stored_to: int, position: int, turns: Sequence[StoredTurn]) -> None:
        """Write the turns and the partition's position; all history[partition] below stored_to is then in the store.

        `position` (epoch << 48 | history offset) orders writes: an append with a lower position than one already
        there never undoes it. Repeating an append is harmless. Raises `StoreUnavailable`.
        """

    @abstractmethod
    async def load(self, instance_ids: Sequence[str], *, events: bool = True) -> dict[str, StoredInstance]:
        """What is stored of these instances; ids never stored are absent. A purged one comes as its tombstone row.

        With events=False rows only. Finished instances come with their events too. Raises `StoreUnavailable`, and
        `HistoryDamaged` if rows cannot be read or events up to `last_seq` are not all there; it names every instance
        given that this is true of, so that the others can be asked for without them.
        """

    @abstractmethod
    async def stored_to(self, partition: int, epoch: int = 0) -> int:
        """The highest stored_to appended for the partition in this epoch of its topics; 0 if none.

        A lower epoch's is no longer known once a higher one has been appended.
        """

    @abstractmethod
    async def rest(self, partition: int, epoch: int, resting: Resting) -> None:
        """Keep it for `resting`; a lower (epoch, offset) never undoes a higher one. Raises `StoreUnavailable`.

        An adapter whose log cannot lose its tail, being in the same file, keeps nothing.
        """

    @abstractmethod
    async def resting(self, partition: int, epoch: int = 0) -> Resting | None:
        """What is kept for the partition in this epoch of its topics."""

    @abstractmethod
    async def list(self, where: Filter, limit: int, after: str = "") -> Page:
        """A page of rows that fit the filter. `after` is an earlier page's `next`; ValueError if it is not one."""

    @abstractmethod
    async def stalled(self, partition: int, limit: int) -> Sequence[InstanceRow]:
        """Rows of instances of the partition whose status is STALLED."""

    @abstractmethod
    async def forget_tombstones(self, before_us: int) -> int:
        """Delete tombstones purged before that time; how many."""


@dataclass(slots=True)
class StoredTimer:
    """A far timer: due time and the bytes of its SetTimer, with the instance it is for."""

    fire_at_us: int
    instance_id: str
    identity: str  # run/generation/task/attempt/kind: with the instance id unique in its slice
    value: bytes
    position: int = field(default=0, compare=False)  # of the record that set it; not read back


TimerKey = tuple[str, str, int]
"""Instance id and identity of a timer to be deleted, and the position of the record that says so."""


class TimerStore(ABC):
    """Far timers, by shard (= partition of the topic timers) and slice (= fire_at_us // slice length).

    A position is epoch << 48 | offset of a record of the shard. What is written at a lower position never undoes what
    is there from a higher one, deletions included, whenever it arrives. (SQLite's file has one writer, whose writes
    come in order; it alone does not look at positions.)
    """

    @abstractmethod
    async def put(self, shard: int, slice_no: int, timers: Sequence[StoredTimer]) -> None:
        """Upsert, each at its position; durable when it returns."""

    @abstractmethod
    async def load(self, shard: int, slice_no: int) -> list[StoredTimer]:
        """All timers of a slice, by fire_at_us."""

    @abstractmethod
    async def remove(self, shard: int, slice_no: int, keys: Sequence[TimerKey]) -> None:
        """Delete timers, each at its position; absent ones are harmless."""

    @abstractmethod
    async def drop_slice(self, shard: int, slice_no: int, position: int) -> None:
        """Delete a whole slice: every timer that was put at a position up to this one."""

    @abstractmethod
    async def slices(self, shard: int, up_to: int) -> list[int]:
        """Numbers of the slices ≤ up_to that hold timers or held some and were not dropped, ascending."""
