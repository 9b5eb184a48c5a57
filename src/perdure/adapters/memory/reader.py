"""The reader of an assigned partition.

A reader belongs to one assignment: once that is revoked it raises NotAssigned for ever, also if the same
partition comes back to the same member, which then asks for a new one. A member that was thrown out without being
told goes on reading (as a stalled process does) but cannot commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from perdure.adapters.memory.source import Cluster, Source
from perdure.ports.errors import NotAssigned, OffsetOutOfRange
from perdure.ports.log import Committed, Reader, Record

__all__ = ["GroupReader"]

METADATA_BYTES_MAX = 4096  # Kafka's default for offset metadata


class GroupReader(Reader):
    def __init__(self, cluster: Cluster, group: str, source: Source, owns: Callable[[int], bool]) -> None:
        self._cluster = cluster
        self._group = group
        self._source = source
        self._owns = owns
        self._revoked = False
        self._woken = False
        self._waiter: asyncio.Future[None] | None = None
        stored = cluster.committed(group, source.topic, source.partition).offset
        self._position = stored if stored >= 0 else source.start
        self._seeks = 0
        source.watchers[self] = None

    async def read(self, max_records: int) -> list[Record]:
        source = self._source
        while True:
            self._check_assigned()
            if self._position < source.start:
                raise OffsetOutOfRange(
                    f"{self._place()} begins at {source.start}: position {self._position} was deleted"
                )
            if self._position < source.end:
                records = await self._advance(max_records)
                if not records:
                    continue
                self._woken = False
                return records
            if self._woken:
                self._woken = False
                return []
            await self._wait()

    async def _advance(self, max_records: int) -> list[Record]:
        found = self._source.ready(self._position, max_records)
        if found is None:
            seeks = self._seeks
            found = await self._source.load(self._position, max_records)
            self._check_assigned()
            if seeks != self._seeks:
                return []  # sought elsewhere meanwhile: these are not what is wanted now
        records, self._position = found
        self._source.consumed()
        return records

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def wake(self) -> None:
        self._woken = True
        self.notify()

    @property
    def position(self) -> int:
        return self._position

    def seek(self, offset: int) -> None:
        self._position = offset
        self._seeks += 1
        self.notify()

    async def committed(self) -> Committed:
        self._check_assigned()
        return self._cluster.committed(self._group, self._source.topic, self._source.partition)

    async def commit(self, offset: int, metadata: str = "", *, lazy: bool = False) -> None:
        self._check_assigned()
        if not self._owns(self._source.partition):
            raise NotAssigned(f"{self._place()} was given to another member of {self._group}")
        size = len(metadata.encode())
        if size > METADATA_BYTES_MAX:
            raise ValueError(f"offset metadata of {size:,} bytes: at most {METADATA_BYTES_MAX:,}")
        await self._cluster.commit_offset(
            self._group, self._source.topic, self._source.partition, Committed(offset, metadata), lazy=lazy
        )

    def revoke(self) -> None:
        """The assignment is over: the waiting read and every later call raise NotAssigned."""
        self._revoked = True
        self._source.watchers.pop(self, None)
        self.notify()

    def _check_assigned(self) -> None:
        if self._revoked:
            raise NotAssigned(f"{self._place()} is no longer this member's: ask for a reader after the next assignment")

    def _place(self) -> str:
        return f"{self._source.topic}[{self._source.partition}]"
