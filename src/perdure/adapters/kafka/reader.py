"""The reader of an assigned partition, over records that the member's pump hands it.

Two positions are kept apart: where `read` goes on, and where the consumer fetches. They meet when nothing is waiting
here; then the consumer's is the one to tell, because it has moved past the control records of transactions.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop, sleep
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from perdure.adapters.kafka.records import Place
from perdure.ports.errors import LogUnavailable, NotAssigned, OffsetOutOfRange
from perdure.ports.log import Committed, Reader, Record

__all__ = ["KafkaReader", "Source"]

METADATA_BYTES_MAX = 4096  # the broker's default for offset metadata
WAITING_RECORDS_MAX = 2_000
RANGE_PAUSE_SECONDS = 0.5
STUCK_PAUSE_SECONDS = 2.0  # between tries of a batch that cannot be read
WAITING_BYTES_MAX = 8 * 1024 * 1024


class Source(Protocol):
    """What a reader needs of its member's consumer."""

    def flow(self, place: Place) -> None:
        """Fetch this partition, if that does not happen already."""

    def hold(self, place: Place) -> None:
        """Do not fetch it for now."""

    def move(self, place: Place, offset: int) -> None:
        """Fetch it from this offset."""

    def fetched_to(self, place: Place) -> int | None: ...

    async def fetch_stuck(self, place: Place, offset: int) -> tuple[list[Record], int]:
        """The batch there that the consumer could not unpack, and where to go on."""

    async def bounds(self, place: Place) -> tuple[int, int]: ...

    async def committed(self, place: Place) -> Committed: ...

    async def commit(self, place: Place, committed: Committed, *, lazy: bool) -> None: ...


class KafkaReader(Reader):
    def __init__(self, source: Source, place: Place, position: int) -> None:
        self._source = source
        self._place = place
        self._position = position
        self._records: deque[Record] = deque()
        self._bytes = 0
        self._flowing = False
        self._revoked = False
        self._woken = False
        self._out_of_range = False
        self._stuck: int | None = None
        self._waiter: Future[None] | None = None

    async def read(self, max_records: int) -> list[Record]:
        while True:
            self._check_assigned()
            if self._out_of_range:
                await self._check_range()
                continue
            if self._records:
                return self._take(max_records)
            if self._woken:
                self._woken = False
                return []
            if self._stuck is not None:
                await self._take_up(self._stuck)
                continue
            if not self._flowing:
                self._flowing = True
                self._source.flow(self._place)
            self._waiter = get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _take(self, max_records: int) -> list[Record]:
        records = self._records
        taken = [records.popleft() for _ in range(min(max_records, len(records)))]
        self._bytes -= sum(len(record.value) for record in taken)
        self._position = taken[-1].offset + 1
        self._woken = False
        return taken

    async def _take_up(self, offset: int) -> None:
        """Reads what the consumer could not, and lets it go on behind that."""
        try:
            records, beyond = await self._source.fetch_stuck(self._place, offset)
        except OffsetOutOfRange:
            if self._stuck == offset:
                self._stuck = None
                self.out_of_range()
            return
        except LogUnavailable:
            await sleep(STUCK_PAUSE_SECONDS)
            return
        if self._revoked or self._stuck != offset:
            return  # another member's by now, or sought elsewhere meanwhile
        self._stuck = None
        self._source.move(self._place, beyond)
        self.feed(records)

    async def _check_range(self) -> None:
        try:
            start, end = await self._source.bounds(self._place)
        except LogUnavailable:
            await sleep(RANGE_PAUSE_SECONDS)  # the read goes on until the brokers answer, or the partition is revoked
            return
        if not self._out_of_range:
            return  # sought elsewhere meanwhile
        if start <= self._position <= end:
            self._out_of_range = False
            self._source.move(self._place, self._position)
            return
        name = f"{self._place[0]}[{self._place[1]}]"
        if self._position < start:
            raise OffsetOutOfRange(f"{name} begins at {start}: position {self._position} was deleted")
        raise OffsetOutOfRange(f"{name} ends at {end}, before position {self._position}: was the topic made anew?")

    def wake(self) -> None:
        self._woken = True
        self._notify()

    @property
    def position(self) -> int:
        if not self._records and not self._revoked:
            fetched = self._source.fetched_to(self._place)
            return self._position if fetched is None else max(self._position, fetched)
        return self._position

    def seek(self, offset: int) -> None:
        if self._revoked:
            self._position = offset
            return
        if offset == self._position and not self._out_of_range:
            return
        self._records.clear()
        self._bytes = 0
        self._position = offset
        self._out_of_range = False
        self._stuck = None
        self._source.move(self._place, max(offset, 0))
        self._flowing = False
        self._notify()

    async def committed(self) -> Committed:
        self._check_assigned()
        return await self._source.committed(self._place)

    async def commit(self, offset: int, metadata: str = "", *, lazy: bool = False) -> None:
        self._check_assigned()
        size = len(metadata.encode())
        if size > METADATA_BYTES_MAX:
            raise ValueError(f"offset metadata of {size:,} bytes: at most {METADATA_BYTES_MAX:,}")
        await self._source.commit(self._place, Committed(offset, metadata), lazy=lazy)

    def feed(self, records: Sequence[Record]) -> None:
        """From the pump. Enough of them, and the partition is held until they are read."""
        self._records.extend(records)
        self._bytes += sum(len(record.value) for record in records)
        if len(self._records) >= WAITING_RECORDS_MAX or self._bytes >= WAITING_BYTES_MAX:
            self._flowing = False
            self._source.hold(self._place)
        self._notify()

    def stuck(self, offset: int) -> None:
        """From the pump: the consumer cannot unpack what lies there. What it fetched before that is fed yet."""
        self._stuck = offset
        self._flowing = False
        self._source.hold(self._place)
        self._notify()

    def out_of_range(self) -> None:
        """From the pump: the broker does not have the position that the consumer fetched from."""
        self._out_of_range = True
        self._flowing = False
        self._source.hold(self._place)
        self._notify()

    def revoke(self) -> None:
        self._position = self.position
        self._revoked = True
        self._records.clear()
        self._notify()

    @property
    def waiting(self) -> bool:
        """Whether a read waits for records."""
        return self._waiter is not None

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _check_assigned(self) -> None:
        if self._revoked:
            topic, partition = self._place
            raise NotAssigned(
                f"{topic}[{partition}] is no longer this member's: ask for a reader after the next assignment"
            )
