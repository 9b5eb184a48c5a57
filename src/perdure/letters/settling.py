"""Settling letters: replay (sent again) and drop (put away), each once, whatever crashes or races.

**Law.** A letter is settled by one transaction: its mark and, for a replay, the record sent again. It is committed by
the one writer of its partition (`writer_id`), opened before the marks are read to their end: whoever else settles there
has been fenced by then, and has either written a mark that is seen or will never write one. A commit whose outcome is
unknown is settled by opening the writer anew and looking for the mark.

Rejected: the mark after the record, or before it, in appends of their own: one of them could be lost.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

import structlog

from perdure.codec.encoder import Encoder
from perdure.core.limits import LETTERS_SETTLED_MAX, NOTE_BYTES_MAX
from perdure.core.names import Topics
from perdure.letters.letter import LetterRecord, letter_of, place_of
from perdure.letters.listing import LetterFilter, LetterPage, LetterSource, list_letters, marked
from perdure.letters.marks import Mark, Marks, mark_record, writer_id
from perdure.letters.remapping import remapped
from perdure.letters.resending import NotReplayable, origin_topic, resent
from perdure.ports.clock import Clock
from perdure.ports.errors import Fenced, LogClosed, LogUnavailable, PortError, RecordTooLarge, TopicMissing
from perdure.ports.log import Log, Outgoing, Writer
from perdure.ports.registry import SchemaRegistry

__all__ = ["DeadLetters", "Settlement", "Settling", "SettlingStats", "find_letter"]

log = structlog.get_logger("perdure.letters")

MapAgain = Callable[[LetterRecord], Awaitable[Outgoing | NotReplayable]]

Settling = Literal["replay", "drop"]
DONE: Final = {"replay": "replayed", "drop": "dropped"}
ATTEMPTS_MAX = 3
"""Times a letter is tried whose writer was fenced, or whose commit failed."""


@dataclass(slots=True, frozen=True)
class Settlement:
    """What became of one letter: its state now, or `reason` and a sentence that says why it was not settled.

    Reasons: UnknownLetter, LetterSettled, NotReplayable, LetterNotSettled (ask again under the same request).
    """

    letter_id: str
    state: str = ""
    reason: str = ""
    message: str = ""


@dataclass(slots=True)
class SettlingStats:
    dead_letters_settled: Counter[str] = field(default_factory=Counter)


async def find_letter(source: LetterSource, topics: Topics, marks: Marks, letter_id: str) -> LetterRecord | None:
    """The letter with its record; None where there is none, or none any more. Raises ValueError for what is no id."""
    partition, offset = place_of(letter_id)
    if partition >= await source.partitions(topics.dead_letters):
        return None
    records = await source.fetch(topics.dead_letters, partition, offset, 1)
    if not records or records[0].offset != offset:
        return None
    found = letter_of(records[0])
    found.letter = marked(found.letter, (await marks.of(partition)).get(offset))
    return found


class DeadLetters:
    """Of one namespace, over its log, which stays the caller's to close."""

    def __init__(
        self,
        log: Log,
        topics: Topics,
        clock: Clock,
        registry: SchemaRegistry | None = None,
        encode: Encoder | None = None,
    ) -> None:
        self.stats = SettlingStats()
        self._again = partial(remapped, log=log, topics=topics, registry=registry, encode=encode or Encoder())
        self._log = log
        self._topics = topics
        self._clock = clock
        self._marks = Marks(log, topics)
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def page(self, where: LetterFilter, limit: int, after: str = "") -> LetterPage:
        return await list_letters(self._log, self._topics, self._marks, where, limit, after)

    async def get(self, letter_id: str) -> LetterRecord | None:
        return await find_letter(self._log, self._topics, self._marks, letter_id)

    async def settle(
        self, letter_ids: Sequence[str], settling: Settling, *, request: str, requested_by: str = ""
    ) -> list[Settlement]:
        """One for each id, in their order; letters of a partition are settled in that order.

        `request` names this request: its repeat gets the first answer and has no second effect. Raises ValueError for
        ids that are none, for too many of them and for an overlong `requested_by`, TopicMissing where the topic of
        marks is missing, and what keeps the log from being read.
        """
        if not 1 <= len(letter_ids) <= LETTERS_SETTLED_MAX:
            raise ValueError(f"{len(letter_ids)} dead letters: one request settles 1 to {LETTERS_SETTLED_MAX}")
        if len(requested_by.encode("utf-8", "replace")) > NOTE_BYTES_MAX:
            raise ValueError(f"requested_by is over {NOTE_BYTES_MAX} bytes")
        places = [place_of(letter_id) for letter_id in letter_ids]
        count = await self._log.partitions(self._topics.dead_letters)
        await self._log.partitions(self._topics.dead_letter_marks)
        found: dict[tuple[int, int], Settlement] = {}
        for partition in sorted({partition for partition, _ in places}):
            mark = Mark(DONE[settling], self._clock.now_us(), requested_by, request)
            offsets = [offset for number, offset in places if number == partition]
            if partition >= count:
                found |= {(partition, offset): _unknown(partition, offset) for offset in offsets}
                continue
            async with self._locks[partition]:
                sitting = _Sitting(self._log, self._topics, self._marks, partition, mark, self._again)
                try:
                    for offset in dict.fromkeys(offsets):
                        settlement, is_new = await sitting.settle(offset)
                        if is_new:
                            self.stats.dead_letters_settled[settlement.state] += 1
                        found[partition, offset] = settlement
                finally:
                    await sitting.close()
        return [found[place] for place in places]


class _Sitting:
    """One request's work in one partition: a writer, opened when it is needed, for as long as it lives."""

    def __init__(self, log: Log, topics: Topics, marks: Marks, partition: int, mark: Mark, again: MapAgain) -> None:
        self._again = again
        self._log = log
        self._topics = topics
        self._marks = marks
        self._partition = partition
        self._mark = mark
        self._writer: Writer | None = None

    async def settle(self, offset: int) -> tuple[Settlement, bool]:
        """And whether it was settled here and now."""
        failure: PortError | None = None
        for _ in range(ATTEMPTS_MAX):
            try:
                records = await self._records(offset)
                if isinstance(records, Settlement):
                    return records, False
                if self._writer is None:
                    self._writer = await self._log.open_writer(writer_id(self._topics, self._partition))
                    records = await self._records(offset)  # others could write until now: look again
                    if isinstance(records, Settlement):
                        return records, False
                await self._writer.commit(records)
            except (LogClosed, LogUnavailable):
                raise
            except RecordTooLarge as error:
                await self.close()
                return self._refused(offset, str(error)), False
            except PortError as error:
                failure = error
                await self.close()
                continue
            log.info("a dead letter is settled", letter=f"{self._partition}-{offset}", state=self._mark.what)
            return Settlement(f"{self._partition}-{offset}", self._mark.what), True
        return self._not_settled(offset, failure), False

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()

    async def _records(self, offset: int) -> list[Outgoing] | Settlement:
        """What to commit, as far as the log tells now; or what is so already, or why not."""
        letter_id = f"{self._partition}-{offset}"
        known = (await self._marks.of(self._partition)).get(offset)
        if known is not None:
            return self._already(letter_id, known)
        found = await find_letter(self._log, self._topics, self._marks, letter_id)
        if found is None:
            return _unknown(self._partition, offset)
        records = [mark_record(self._topics, self._partition, offset, self._mark)]
        if self._mark.what == DONE["replay"]:
            again = await self._resent(found)
            if isinstance(again, NotReplayable):
                return self._refused(offset, again.message)
            records.insert(0, again)
        return records

    async def _resent(self, found: LetterRecord) -> Outgoing | NotReplayable:
        if found.letter.subscription:
            return await self._again(found)
        topic = origin_topic(found, self._topics)
        if isinstance(topic, NotReplayable):
            return topic
        try:
            return resent(found, self._topics, topic, await self._log.partitions(topic))
        except TopicMissing as error:
            return NotReplayable(str(error))

    def _refused(self, offset: int, why: str) -> Settlement:
        letter_id = f"{self._partition}-{offset}"
        return Settlement(
            letter_id, reason="NotReplayable", message=f"the dead letter {letter_id} cannot be replayed: {why}"
        )

    def _already(self, letter_id: str, known: Mark) -> Settlement:
        if known.request and (known.request, known.what) == (self._mark.request, self._mark.what):
            return Settlement(letter_id, known.what)
        by = f" by {known.by}" if known.by else ""
        text = f"the dead letter {letter_id} is {known.what} already{by}: a letter is settled once"
        return Settlement(letter_id, reason="LetterSettled", message=text)

    def _not_settled(self, offset: int, failure: PortError | None) -> Settlement:
        why = "somebody else settles letters of its partition" if isinstance(failure, Fenced) else str(failure)
        letter_id = f"{self._partition}-{offset}"
        log.warning("a dead letter could not be settled", letter=letter_id, error=type(failure).__name__)
        text = f"the dead letter {letter_id} is not settled, as far as is known ({why}): ask again"
        return Settlement(letter_id, reason="LetterNotSettled", message=text)


def _unknown(partition: int, offset: int) -> Settlement:
    text = f"there is no dead letter {partition}-{offset}, or retention has deleted it"
    return Settlement(f"{partition}-{offset}", reason="UnknownLetter", message=text)
