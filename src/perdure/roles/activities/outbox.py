"""Everything a worker writes goes through here: coalesced, retried until it is in the log, then told.

Law. What is put during one turn of the loop leaves in one append. A parcel's `sent` is called once, after the log has
acknowledged it, and never before: positions are moved there, so that a position never runs ahead of a result. A
failed append is repeated with growing pauses for as long as the process lives; results are not dropped. Repeating
may write twice (an unknown outcome), which the orchestrator's rule of the first result absorbs.

At most `APPENDS_MAX` are under way: one would let a result wait two disk writes, many would undo the coalescing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from perdure.ports.errors import LogClosed, RecordTooLarge
from perdure.ports.log import Log, Outgoing

__all__ = ["Outbox", "Parcel"]

APPENDS_MAX: Final = 4
PARCELS_PER_APPEND_MAX: Final = 1_000

Parcel = tuple[list[Outgoing], Callable[[], None]]
"""Records that go together, and what to call when they are in the log."""

logger = structlog.get_logger(__name__)


class Outbox:
    """`shrink` makes a smaller record of one that the log refuses for its size, or None to leave it out."""

    def __init__(
        self,
        log: Log,
        *,
        after_send: Callable[[], Awaitable[None]],
        shrink: Callable[[Outgoing], Outgoing | None],
        backoff_s: float,
        backoff_max_s: float,
    ) -> None:
        self._log = log
        self._after_send = after_send
        self._shrink = shrink
        self._backoff_s = backoff_s
        self._backoff_max_s = backoff_max_s
        self._waiting: list[Parcel] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._flush_due = False
        self._closed = False

    def put(self, records: list[Outgoing], sent: Callable[[], None]) -> None:
        """Send these; several calls of one turn of the loop share an append."""
        self._waiting.append((records, sent))
        if not self._flush_due and len(self._sending) < APPENDS_MAX:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    @property
    def empty(self) -> bool:
        return not self._waiting and not self._sending

    async def emptied(self, timeout_s: float) -> bool:
        """Wait for what has been put so far; False if it took too long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while not self.empty:
            if self._waiting and not self._sending:
                await asyncio.sleep(0)
                continue
            left = end - loop.time()
            if left <= 0:
                return False
            await asyncio.wait(self._sending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return True

    def close(self) -> None:
        """Drop what is not sent: its records were not acknowledged to anybody, they are delivered again."""
        self._closed = True
        self._waiting.clear()
        for task in self._sending:
            task.cancel()

    def _flush(self) -> None:
        self._flush_due = False
        if self._closed or not self._waiting or len(self._sending) >= APPENDS_MAX:
            return
        parcels = self._waiting[:PARCELS_PER_APPEND_MAX]
        del self._waiting[:PARCELS_PER_APPEND_MAX]
        task = asyncio.get_running_loop().create_task(self._send(parcels))
        self._sending.add(task)
        task.add_done_callback(self._sent)
        if self._waiting:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a result's bookkeeping failed", exc_info=task.exception())
        if self._waiting and not self._closed:
            self._flush()

    async def _send(self, parcels: list[Parcel]) -> None:
        pause = self._backoff_s
        records = [record for parcel in parcels for record in parcel[0]]
        while records:
            try:
                await self._log.append(records)
                break
            except RecordTooLarge as refused:
                self._replace(records, refused)
            except LogClosed:
                return
            except Exception as error:  # noqa: BLE001 - whatever a log raises, a result waits rather than gets lost
                logger.warning(
                    "results are not in the log yet", error=f"{type(error).__name__}: {error}", retry_s=pause
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._backoff_max_s)
        for _, sent in parcels:
            sent()
        await self._after_send()

    def _replace(self, records: list[Outgoing], refused: RecordTooLarge) -> None:
        index = refused.index
        if not 0 <= index < len(records):  # an adapter that cannot tell: it is the largest, if any
            index = max(range(len(records)), key=lambda place: len(records[place].value))
        smaller = self._shrink(records[index])
        if smaller is None:
            logger.error("a record over the log's limit is left out", topic=records[index].topic, why=str(refused))
            del records[index]
        else:
            records[index] = smaller
