"""The log: partitioned topics with Kafka's semantics. Dumb: it stores and hands out bytes, and decides nothing.

Adapters: memory (the reference), sqlite (embedded), kafka. Every sentence below is a test of the conformance suite
(`tests/conformance/`), which each adapter passes.

**Topics and records.** A topic has a fixed number of partitions, numbered from 0. A record is (key, value, headers)
and has an offset that grows with each record of its partition; offsets may skip numbers, never repeat, never go back.
Only committed records are ever read (read_committed). Offsets always mean *the next record to be read*.

**Groups.** Members of a group share the partitions of their topics: at any time each partition is assigned to at most
one member that has not been told to give it up. Before a partition moves, its owner's `on_revoked` is awaited (bounded
by the session time-out: a member that does not answer is thrown out, and learns it by being fenced). All topics of one
membership are co-partitioned: the same numbers of each go to the same member.

**Writers.** `open_writer(id)` fences every earlier writer of that id: whatever the earlier one has not committed is
aborted before `open_writer` returns, and its later commits raise `Fenced`. `commit` is atomic over topics and
partitions: all records become visible in the given order per partition, or none.

**Volatile records.** A record marked volatile may be lost by a crash of the broker or of this process, as if it had
never been sent. It keeps its place in the partition's order while nothing crashes. An adapter may ignore the mark.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "Committed",
    "Consumed",
    "GroupListener",
    "Log",
    "Membership",
    "Outgoing",
    "Reader",
    "Record",
    "TopicSpec",
    "Writer",
]

Headers = tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class Record:
    """One record as read. `timestamp_ms` is the broker's append time."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Headers = ()
    timestamp_ms: int = 0


@dataclass(slots=True)
class Outgoing:
    """One record to write."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: Headers = ()
    volatile: bool = False


@dataclass(slots=True)
class Committed:
    """A group's stored position in one partition. No position yet: offset -1, metadata empty."""

    offset: int
    metadata: str = ""


@dataclass(slots=True)
class Consumed:
    """How far a group has come in a partition of what it reads: for a commit that stores it with its records."""

    group: str
    topic: str
    partition: int
    committed: Committed


@dataclass(slots=True)
class TopicSpec:
    name: str
    partitions: int


class GroupListener(ABC):
    """What a member is told. Called on the event loop, one call at a time."""

    @abstractmethod
    async def on_assigned(self, partitions: Sequence[int]) -> None:
        """These partitions are now yours; readers of them may be asked for."""

    @abstractmethod
    async def on_revoked(self, partitions: Sequence[int]) -> None:
        """Finish or drop your work on these; when this returns they may be another member's."""


class Reader(ABC):
    """Reads one assigned partition of one topic, in order."""

    @abstractmethod
    async def read(self, max_records: int) -> list[Record]:
        """The next 1…max_records records from `position`, waiting until there is one; moves `position`.

        `[]` only after `wake`. Raises `NotAssigned` once the partition is revoked.
        """

    @abstractmethod
    def wake(self) -> None:
        """Let the current `read`, or the next one, return at once (with `[]` if nothing is there). Never blocks."""

    @property
    @abstractmethod
    def position(self) -> int:
        """Offset of the next record that `read` would return. Before any seek: the committed offset, else the start."""

    @abstractmethod
    def seek(self, offset: int) -> None:
        """Make `offset` the position. Below the partition's start, the next `read` raises `OffsetOutOfRange`."""

    @abstractmethod
    async def committed(self) -> Committed:
        """The group's stored position for this partition."""

    @abstractmethod
    async def commit(self, offset: int, metadata: str = "", *, lazy: bool = False) -> None:
        """Store the group's position and up to 4 KB of metadata; survives a crash once this returned.

        `lazy`: may be stored later (with the next write or within a second): returns at once. Raises `NotAssigned`.
        """


class Membership(ABC):
    """One member of a group."""

    @abstractmethod
    def reader(self, topic: str, partition: int) -> Reader:
        """The reader of an assigned partition. Raises `NotAssigned`."""

    @abstractmethod
    async def leave(self) -> None:
        """Revoke everything (the listener is told) and leave. Twice is harmless."""


class Writer(ABC):
    """A transactional producer: the only fence there is."""

    @abstractmethod
    async def commit(self, records: Sequence[Outgoing], *, consumed: Consumed | None = None) -> int:
        """Write all records in one transaction and return the offset of the last one given, -1 if there is none.

        `consumed` is stored with them, all of it or nothing, whoever is a member of its group: what keeps an earlier
        owner from it is the fence. Who has opened a writer of this id finds it by `Reader.committed`.

        Raises `Fenced` (another writer of this id exists: nothing was written), `RecordTooLarge` (nothing was
        written), `CommitFailed` (nothing was written) or `CommitUnknown` (it may or may not have been written: open a
        new writer, which settles it, and read). After any of them the writer is dead and raises `Fenced`. Records
        must not be empty, unless something was consumed.
        """

    @abstractmethod
    async def close(self) -> None:
        """Give back what it holds; a later commit raises `Fenced`. Whoever never closes leaks it. Twice is harmless."""


class Log(ABC):
    """The way to a cluster for one process."""

    @abstractmethod
    async def create_topics(self, specs: Sequence[TopicSpec]) -> None:
        """Create what is missing; raise `TopicMismatch` where an existing one has another partition count."""

    @abstractmethod
    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has. Raises `TopicMissing`."""

    @abstractmethod
    async def join(self, group: str, topics: Sequence[str], listener: GroupListener) -> Membership:
        """Become a member; returns once the first assignment was delivered to the listener (it may be empty)."""

    @abstractmethod
    async def open_writer(self, transactional_id: str) -> Writer:
        """Fence earlier writers of this id and return the new one."""

    @abstractmethod
    async def append(self, records: Sequence[Outgoing]) -> None:
        """Write without a transaction, each record once, in order per partition; returns when they are durable.

        Two appends called one after the other by one task keep their order, awaited or not. Raises `RecordTooLarge`
        (nothing of this call was written), `TopicMissing`, `CommitFailed`, `CommitUnknown`.
        """

    @abstractmethod
    async def fetch(self, topic: str, partition: int, offset: int, max_records: int) -> list[Record]:
        """Committed records from `offset` on, at most max_records, without waiting; `[]` at the end.

        Below the start it begins at the start. Needs no assignment.
        """

    @abstractmethod
    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """(start, end): the first offset still kept, and the one that the next record will get or exceed."""

    @abstractmethod
    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Records below `offset` may go; `bounds` starts at `offset` (or higher) afterwards. Lower than the start: no effect."""

    @abstractmethod
    async def close(self) -> None:
        """Leave groups, flush what is lazy, free connections. Twice is harmless; other calls then raise `LogClosed`."""
