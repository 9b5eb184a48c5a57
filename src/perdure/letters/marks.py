"""Marks: what became of a letter. `<ns>.dead-letters.marks`, the letter's partition; key: its offset in decimal digits.

**Law.** A letter's first mark is its last: a letter with one is never sent again. A mark that this release cannot read
counts as one, for a newer release may have written it. Marks of a partition are written only by the one writer of its
id (`writer_id`), so whoever has opened that writer and then read to the end knows them all.

Whoever deletes old letters deletes a mark only once its letter is gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from perdure.core.clipping import clipped
from perdure.core.limits import COMMAND_ID_BYTES_MAX, NOTE_BYTES_MAX, TIME_US_MAX
from perdure.core.names import Topics
from perdure.ports.errors import TopicMissing
from perdure.ports.log import Outgoing, Record

if TYPE_CHECKING:
    from perdure.letters.listing import LetterSource

__all__ = ["Mark", "Marks", "mark_record", "writer_id"]

READ_MAX = 1_000


@dataclass(slots=True, frozen=True)
class Mark:
    """`what`: replayed or dropped. `request` names the request, so that its repeat gets the first answer."""

    what: str
    at_us: int = 0
    by: str = ""
    request: str = ""


@dataclass(slots=True)
class _Known:
    position: int = 0
    marks: dict[int, Mark] = field(default_factory=dict)


def writer_id(topics: Topics, partition: int) -> str:
    """Whoever opens it fences everybody else who settles letters of the partition."""
    return f"{topics.dead_letters}.{partition}"


def mark_record(topics: Topics, partition: int, offset: int, mark: Mark) -> Outgoing:
    return Outgoing(topics.dead_letter_marks, partition, str(offset).encode(), json.dumps(asdict(mark)).encode())


class Marks:
    """Keeps what it has read: only what is new is read again."""

    def __init__(self, source: LetterSource, topics: Topics) -> None:
        self._source = source
        self._topic = topics.dead_letter_marks
        self._known: dict[int, _Known] = {}

    async def of(self, partition: int, letters_from: int = 0) -> Mapping[int, Mark]:
        """By the letters' offsets, up to the log's end now. Those of letters below `letters_from` are forgotten.

        Empty where the topic is missing: nothing can have been marked.
        """
        try:
            _, end = await self._source.bounds(self._topic, partition)
        except TopicMissing:
            return {}
        known = self._known.setdefault(partition, _Known())
        if end < known.position:  # the topic was made anew
            known = self._known[partition] = _Known()
        at = known.position
        while records := await self._source.fetch(self._topic, partition, at, READ_MAX):
            for record in records:
                found = _read(record)
                if found is not None and found[0] >= letters_from:
                    known.marks.setdefault(*found)
            at = records[-1].offset + 1
            known.position = max(known.position, at)
        for offset in [each for each in known.marks if each < letters_from]:
            del known.marks[offset]
        return known.marks


def _read(record: Record) -> tuple[int, Mark] | None:
    """(the letter's offset, its mark); None for a key that names no letter."""
    if not record.key.isdigit() or len(record.key) > 18:
        return None
    try:
        found = json.loads(record.value)
        mark = Mark(
            clipped(str(found["what"]), 64),
            min(max(0, int(found.get("at_us", 0))), TIME_US_MAX),
            clipped(str(found.get("by", "")), NOTE_BYTES_MAX),
            clipped(str(found.get("request", "")), COMMAND_ID_BYTES_MAX),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        mark = Mark("marked in a way that this release cannot read")
    return int(record.key), mark
