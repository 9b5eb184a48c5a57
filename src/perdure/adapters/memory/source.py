"""What a reader and a group need of a broker, so that the memory and the sqlite adapter share both.

A source is one partition as readers see it. It lives on the event loop: nothing here is called from a thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from perdure.ports.log import Committed, Record

__all__ = ["Cluster", "Source", "Watcher"]


class Watcher(Protocol):
    """A reader, as its source knows it."""

    @property
    def position(self) -> int: ...

    def notify(self) -> None:
        """There is something new, or something to notice."""


class Source(ABC):
    """One partition of one topic. `start`: first offset kept; `end`: what the next record gets or exceeds."""

    def __init__(self, topic: str, partition: int, start: int = 0, end: int = 0) -> None:
        self.topic = topic
        self.partition = partition
        self.start = start
        self.end = end
        self.watchers: dict[Watcher, None] = {}  # a dict keeps the order in which they came: no randomness

    @abstractmethod
    def ready(self, offset: int, max_records: int) -> tuple[list[Record], int] | None:
        """Records from `offset` on and the position after them if memory has them; None: `load` looks."""

    @abstractmethod
    async def load(self, offset: int, max_records: int) -> tuple[list[Record], int]:
        """As `ready`, wherever they are. For start ≤ offset < end only; no records: a gap was passed."""

    def consumed(self) -> None:  # noqa: B027 - a source that keeps everything has nothing to do
        """A watcher's position has moved."""

    def notify(self) -> None:
        for watcher in list(self.watchers):
            watcher.notify()


class Cluster(ABC):
    """What a group needs of the broker it belongs to."""

    @abstractmethod
    def source(self, topic: str, partition: int) -> Source:
        """Raises TopicMissing."""

    @abstractmethod
    def partition_count(self, topic: str) -> int:
        """Raises TopicMissing."""

    @abstractmethod
    def committed(self, group: str, topic: str, partition: int) -> Committed:
        """The group's stored position; offset -1 if none."""

    @abstractmethod
    async def commit_offset(self, group: str, topic: str, partition: int, position: Committed, *, lazy: bool) -> None:
        """Store it; returns when it is durable, or at once if it is lazy."""
