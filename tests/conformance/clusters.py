"""What a conformance test runs on: a log, its stores, and ways to lose the process that uses them.

An adapter joins the suite by a class here and its name in `CLUSTERS`.
"""

from __future__ import annotations

import asyncio
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from perdure.adapters.memory import MemoryBroker, MemoryHistoryStore, MemoryLog, MemoryTimerStore
from perdure.adapters.sqlite import Database, SqliteHistoryStore, SqliteLog, SqliteTimerStore, open_database
from perdure.core.names import Topics
from perdure.ports.clock import Clock
from perdure.ports.log import Log, Membership, Outgoing, TopicSpec
from perdure.ports.store import HistoryStore, TimerStore

TOPICS = Topics("test")
PARTITIONS = 3


class SteppingClock(Clock):
    """A second passes with every look."""

    def __init__(self) -> None:
        self.us = 1_700_000_000_000_000

    def now_us(self) -> int:
        self.us += 1_000_000
        return self.us


class Cluster(ABC):
    """`log` is a first client; `client()` another one, as if it were another process."""

    log: Log
    store: HistoryStore
    timers: TimerStore
    log_keeps_its_tail = False  # nothing of the log is deleted for its age, so the store keeps no marker beside it

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    def shorten_sessions(self, seconds: float) -> None:
        """For groups that nobody has joined yet."""

    @abstractmethod
    def client(self) -> Log: ...

    @abstractmethod
    async def crash(self) -> None:
        """Lose every process, and open `log` and the stores anew on what was kept."""

    @abstractmethod
    async def reopen(self) -> None:
        """Close everything in good order, and open it anew."""

    @abstractmethod
    async def close(self) -> None: ...

    async def lazy_is_stored(self, _membership: Membership) -> None:
        """Returns when what this member committed lazily must be durable: here with the next write."""
        await self.log.append([Outgoing(TOPICS.history, 0, b"", b"later")])

    async def create_topics(self) -> None:
        await self.log.create_topics([TopicSpec(TOPICS.instances, PARTITIONS), TopicSpec(TOPICS.history, PARTITIONS)])


class MemoryCluster(Cluster):
    """The broker and the stores are the cluster; a crash loses the clients."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(SteppingClock())
        self.store = MemoryHistoryStore()
        self.timers = MemoryTimerStore()
        self._clients: list[MemoryLog] = []

    async def open(self) -> None:
        self.log = self.client()

    def shorten_sessions(self, seconds: float) -> None:
        self.broker.groups._session_s = seconds

    def client(self) -> Log:
        self._clients.append(MemoryLog(self.broker, f"client-{len(self._clients)}"))
        return self._clients[-1]

    async def crash(self) -> None:
        for client in self._clients:
            client.crash()
        self._clients.clear()
        await self.open()

    async def reopen(self) -> None:
        await self.close()
        await self.open()

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))
        self._clients.clear()


class SqliteCluster(Cluster):
    """A crash goes on with a copy of the file and its write-ahead file, as the disk would show them."""

    log_keeps_its_tail = True

    def __init__(self, folder: Path) -> None:
        self.path = folder / "one.db"
        self.database: Database
        self._clients: list[SqliteLog] = []
        self._crashes = 0

    async def open(self) -> None:
        self.database = await open_database(self.path, clock=SteppingClock())
        self.log = self.client()
        self.store = SqliteHistoryStore(self.database, TOPICS)
        self.timers = SqliteTimerStore(self.database)

    def shorten_sessions(self, seconds: float) -> None:
        self.database.groups._session_s = seconds

    def client(self) -> Log:
        self._clients.append(SqliteLog(self.database, f"client-{len(self._clients)}"))
        return self._clients[-1]

    async def crash(self) -> None:
        self._crashes += 1
        copy = self.path.with_name(f"crash-{self._crashes}.db")
        copy_as_on_disk(self.path, copy)
        self._clients.clear()
        await self.database.close()
        self.path = copy
        await self.open()

    async def reopen(self) -> None:
        await self.close()
        await self.open()

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))
        self._clients.clear()
        await self.database.close()


def copy_as_on_disk(path: Path, copy: Path) -> None:
    """The file and its write-ahead file; the -shm file is memory, a crash loses it."""
    shutil.copy(path, copy)
    wal = path.with_name(path.name + "-wal")
    if wal.exists():
        shutil.copy(wal, copy.with_name(copy.name + "-wal"))


CLUSTERS = ("memory", "sqlite")


def make_cluster(name: str, folder: Path) -> Cluster:
    return MemoryCluster() if name == "memory" else SqliteCluster(folder)
