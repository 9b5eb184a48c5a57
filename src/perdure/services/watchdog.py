"""Finds readers that stand still although there is something to read: clients of a log are known to, after its restarts.

**Law.** A stall is called only when all of it is seen: the log answers, a record beyond the reader's position can be
fetched without that reader, the position has not moved for `stall_s`, and the role wanted to read on. Whatever is less
may be right: a quiet partition, offsets that no record has, a role that is held back on purpose, a log that is away.
A log that does not answer is waited for, however long: opening it anew would not bring it back.

Above the port, and by the loop's clock alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from perdure.services.watched import WatchedLog, WatchedReader

__all__ = ["RESTARTS_MAX", "RESTARTS_SECONDS", "Restarts", "Watchdog"]

log = structlog.get_logger("perdure.watchdog")

RESTARTS_MAX: Final = 3
RESTARTS_SECONDS: Final = 600.0
"""More than RESTARTS_MAX in that time: opening anew does not help, the process ends."""

LOOKS_PER_STALL: Final = 3
ANSWER_SECONDS: Final = 15.0

Held = Callable[[str, int], str]
"""(topic, partition) to why its role does not read on, on purpose; "" if it has no reason not to."""


@dataclass(slots=True)
class _Seen:
    position: int
    behind_since: float | None = None  # when it was first seen that there is more to read


class Watchdog:
    """`run` returns what stands still. `trouble`: since `stall_s` or longer the log does not answer, and why."""

    def __init__(self, log_: WatchedLog, held: Held, stall_s: float) -> None:
        self.trouble = ""
        self._log = log_
        self._held = held
        self._stall_s = stall_s
        self._seen: dict[WatchedReader, _Seen] = {}  # several subscriptions may read the same
        self._silent_since: float | None = None

    async def run(self) -> str:
        """For ever, if nothing ever stalls."""
        pause = shortest = self._stall_s / LOOKS_PER_STALL
        while True:
            await asyncio.sleep(pause)
            readers = self._log.readers
            self._seen = {reader: self._seen[reader] for reader in readers if reader in self._seen}
            began = asyncio.get_running_loop().time()
            found = await asyncio.gather(*(self._look(each) for each in readers), return_exceptions=True)
            failed = next((each for each in found if isinstance(each, BaseException)), None)
            self._note_silence(failed, began)
            pause = shortest if failed is None else min(2 * pause, self._stall_s)
            stalled = [each for each in found if isinstance(each, str) and each]
            if stalled:
                return "; ".join(stalled)

    async def _look(self, reader: WatchedReader) -> str:
        """What stands still; "" if this does not. Raises what the log raises, TimeoutError if it does not answer."""
        place, position = (reader.topic, reader.partition), reader.position
        seen = self._seen.get(reader)
        if seen is None or seen.position != position or self._is_held(reader):
            self._seen[reader] = _Seen(position)
            return ""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                _, end = await self._log.bounds(*place)
                if end <= position or reader.position != position:
                    seen.behind_since = None
                    return ""
                now = asyncio.get_running_loop().time()
                if seen.behind_since is None:
                    seen.behind_since = now
                if now - seen.behind_since < self._stall_s:
                    return ""
                more = await self._log.fetch(*place, position, 1)
        except BaseException:
            seen.behind_since = None  # once it answers, its clients have all the time again
            raise
        if not more or reader.position != position or self._is_held(reader):
            seen.behind_since = None  # offsets without a record, such as a transaction's own
            return ""
        return f"{reader.topic}[{reader.partition}] stands at {position}, though it goes on to {end}"

    def _is_held(self, reader: WatchedReader) -> bool:
        return not reader.reading and bool(self._held(reader.topic, reader.partition))

    def _note_silence(self, failed: BaseException | None, began: float) -> None:
        """`began`: when the look did; an answer that does not come has been missing since then."""
        now = asyncio.get_running_loop().time()
        if failed is None:
            if self.trouble:
                log.info("the log answers again", seconds=round(now - (self._silent_since or now), 1))
            self._silent_since, self.trouble = None, ""
            return
        if self._silent_since is None:
            self._silent_since = began
        if now - self._silent_since >= self._stall_s:
            why = str(failed) or type(failed).__name__
            self.trouble = f"the log has not answered for {now - self._silent_since:.0f} s ({why})"
            log.warning("the log does not answer; waiting for it", error=why)


class Restarts:
    """How often a role was begun again in this process, by the loop's clock."""

    def __init__(self) -> None:
        self.count = 0
        self._recent: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Count one more; False if there were RESTARTS_MAX within RESTARTS_SECONDS."""
        while self._recent and now - self._recent[0] >= RESTARTS_SECONDS:
            self._recent.popleft()
        if len(self._recent) >= RESTARTS_MAX:
            return False
        self._recent.append(now)
        self.count += 1
        return True
