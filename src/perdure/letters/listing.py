"""Lists of dead letters: the partitions merged, oldest first, a page at a time.

Records are read and let go of one after the other: a page holds what a list shows, never the records themselves. A
page's token is the next offset of each partition, so letters that retention deletes in between are simply not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from perdure.core.limits import DERIVED_ID_BYTES_MAX, LETTERS_SCANNED_MAX, REASON_CHARS_MAX
from perdure.core.names import Topics
from perdure.letters.letter import DeadLetter, Place, letter_of
from perdure.letters.marks import Mark, Marks
from perdure.ports.log import Record

__all__ = ["STATES", "LetterFilter", "LetterPage", "LetterSource", "list_letters", "marked"]

STATES = ("open", "replayed", "dropped", "all")
FIRST_RECORDS, RECORDS_MAX = 8, 500
CHUNK_BYTES = 8 * 1024 * 1024
"""What one read may bring, going by the size of the records before."""


class LetterSource(Protocol):
    """What a list needs of a log: a database file that somebody else owns can give it, too."""

    async def partitions(self, topic: str) -> int: ...

    async def fetch(self, topic: str, partition: int, offset: int, max_records: int) -> list[Record]: ...

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]: ...


@dataclass(slots=True)
class LetterFilter:
    """Conditions, all of which hold. `origin`: a topic's name, with or without the namespace. `reason`: a part of it,
    in any case. Raises ValueError for a condition that nothing can fulfil."""

    state: str = "open"
    instance_id: str = ""
    origin: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"no state {self.state[:64]!r} of a dead letter: one of {', '.join(STATES)}")
        for text in (self.instance_id, self.origin, self.reason):
            try:
                too_long = len(text.encode()) > max(DERIVED_ID_BYTES_MAX, REASON_CHARS_MAX)
            except UnicodeEncodeError:
                raise ValueError(f"{text[:64]!r} is not valid Unicode") from None
            if too_long:
                raise ValueError(f"{text[:64]!r}… is longer than any ID, topic or reason")


@dataclass(slots=True)
class LetterPage:
    """Oldest first; `next` is the following page's `after`, "" at the end. It may hold fewer than were asked for."""

    letters: list[DeadLetter]
    next: str = ""


async def list_letters(
    source: LetterSource, topics: Topics, marks: Marks, where: LetterFilter, limit: int, after: str = ""
) -> LetterPage:
    """Raises ValueError for an `after` that is no earlier page's `next`, and what the log raises."""
    count = await source.partitions(topics.dead_letters)
    runs = [
        _Run(source, topics.dead_letters, partition, marks, at) for partition, at in enumerate(_places(after, count))
    ]
    for run in runs:
        await run.fill()
    found: list[DeadLetter] = []
    for _ in range(LETTERS_SCANNED_MAX):
        waiting = [run for run in runs if run.letters]
        if not waiting or len(found) == limit:
            break
        letter = await min(waiting, key=lambda run: run.letters[0].at_us).take()
        if _fits(letter, where, topics):
            found.append(letter)
    if not any(run.letters for run in runs):
        return LetterPage(found)
    return LetterPage(found, ".".join(str(run.next) for run in runs))


def marked(letter: DeadLetter, mark: Mark | None) -> DeadLetter:
    """The letter, with what became of it."""
    if mark is None:
        return letter
    return replace(letter, state=mark.what, settled_at_us=mark.at_us, settled_by=mark.by)


@dataclass(slots=True)
class _Run:
    """One partition's letters, from `next` on: those at hand, in the order of the log."""

    source: LetterSource
    topic: str
    partition: int
    marks: Marks
    next: int
    letters: list[DeadLetter] = field(default_factory=list)
    origins: dict[Place, str] = field(default_factory=dict)
    ask: int = FIRST_RECORDS

    async def take(self) -> DeadLetter:
        letter = self.letters.pop(0)
        self.next = int(letter.letter_id.partition("-")[2]) + 1
        if not self.letters:
            await self.fill()
        return letter

    async def fill(self) -> None:
        records = await self.source.fetch(self.topic, self.partition, self.next, self.ask)
        if not records:
            return
        begin = records[0].offset if self.next == 0 else 0  # from the start: what lies before is gone
        known: Mapping[int, Mark] = await self.marks.of(self.partition, begin)
        for record in records:
            letter = marked(letter_of(record).letter, known.get(record.offset))
            if letter.origin is not None:
                first = self.origins.setdefault(letter.origin, letter.letter_id)
                letter.repeat_of = "" if first == letter.letter_id else first
            self.letters.append(letter)
        each = sum(len(record.value) + len(record.key) for record in records) // len(records) + 1
        self.ask = max(1, min(RECORDS_MAX, 4 * self.ask, CHUNK_BYTES // each))


def _fits(letter: DeadLetter, where: LetterFilter, topics: Topics) -> bool:
    origin = letter.origin.topic if letter.origin is not None else ""
    return (
        where.state in ("all", letter.state)
        and where.instance_id in ("", letter.instance_id)
        and where.origin in ("", origin, origin.removeprefix(f"{topics.namespace}."))
        and where.reason.casefold() in letter.reason.casefold()
    )


def _places(after: str, count: int) -> list[int]:
    if not after:
        return [0] * count
    parts = after[: 20 * count].split(".")
    if len(parts) != count or not all(re.fullmatch(r"\d{1,18}", part, re.ASCII) for part in parts):
        raise ValueError(f"{after[:64]!r} is no page of these dead letters: give an earlier page's `next`")
    return [int(part) for part in parts]
