"""One dead letter: a record as it was, and what its headers tell of how it came here.

**Law.** A stranger's record may carry headers of our names. Ours are the last ones, from `perdure-reason` on: whoever
makes a letter appends them (`perdure.roles.dead_letters`), so that nothing before them speaks for us.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from perdure.codec.schemas import HEADER_BYTES, load_schemas
from perdure.core.clipping import clipped
from perdure.core.headers import ORIGIN, REASON, REPLAY_OF, SUBSCRIPTION, TRUNCATED
from perdure.core.limits import DERIVED_ID_BYTES_MAX, NAME_BYTES_MAX, REASON_CHARS_MAX, TIME_US_MAX
from perdure.ports.log import Headers, Record

__all__ = [
    "LETTER_ID", "DeadLetter", "LetterRecord", "Place", "check_letter_id", "letter_of", "place_of",
    "split_headers",
]  # fmt: skip

LETTER_ID: Final = r"^(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,17})$"
_LETTER_ID = re.compile(LETTER_ID)


@dataclass(slots=True, frozen=True)
class Place:
    """Of a record."""

    topic: str
    partition: int
    offset: int


@dataclass(slots=True)
class DeadLetter:
    """What a list shows. Texts are clipped: a key or a header may be as large as a record.

    `instance_id` is the key as text, None if it is none. `kind` names the record where its first bytes tell it, else
    "". `truncated_bytes`: how long it was before it was cut, 0 if it is whole. `replay_of` and `repeat_of` are ids: the
    letter whose replay failed again, and an earlier letter of the same origin.
    """

    letter_id: str
    at_us: int
    reason: str
    origin: Place | None
    instance_id: str | None
    kind: str
    size_bytes: int
    truncated_bytes: int = 0
    subscription: str = ""
    replay_of: str = ""
    repeat_of: str = ""
    state: str = "open"  # replayed, dropped
    settled_at_us: int = 0
    settled_by: str = ""


@dataclass(slots=True)
class LetterRecord:
    """A letter with its record as it was: `headers` without those that say why it is here."""

    letter: DeadLetter
    key: bytes
    value: bytes
    headers: Headers


def check_letter_id(letter_id: str) -> None:
    """Raises ValueError."""
    place_of(letter_id)


def place_of(letter_id: str) -> tuple[int, int]:
    """(partition, offset) of a letter. Raises ValueError."""
    found = _LETTER_ID.match(letter_id) if isinstance(letter_id, str) and not letter_id.endswith("\n") else None
    if found is None:
        raise ValueError(f"{str(letter_id)[:64]!r} is no dead letter's ID: it is <partition>-<offset>, such as 3-17")
    return int(found[1]), int(found[2])


def letter_of(record: Record) -> LetterRecord:
    """The letter in a record of the dead letters' topic, whoever wrote it; open, as far as the record tells."""
    headers, ours = split_headers(record.headers)
    origin = _origin(ours.get(ORIGIN, b""))
    given = dict(headers)
    letter = DeadLetter(
        letter_id=f"{record.partition}-{record.offset}",
        at_us=min(max(0, record.timestamp_ms * 1_000), TIME_US_MAX),
        reason=_text(ours.get(REASON, b""), REASON_CHARS_MAX),
        origin=origin,
        instance_id=_key_text(record.key),
        kind=_names().get(record.value[:HEADER_BYTES], ""),
        size_bytes=len(record.value),
        truncated_bytes=_count(ours.get(TRUNCATED, b"")),
        subscription=_text(ours.get(SUBSCRIPTION, b""), NAME_BYTES_MAX),
        replay_of=_text(given.get(REPLAY_OF, b""), 32),
    )
    return LetterRecord(letter, record.key, record.value, headers)


def split_headers(headers: Headers) -> tuple[Headers, dict[str, bytes]]:
    """(the record's own, those that say why it is here)."""
    begin = max((place for place, (name, _) in enumerate(headers) if name == REASON), default=len(headers))
    return headers[:begin], dict(headers[begin:])


@cache
def _names() -> dict[bytes, str]:
    return {schema.header: schema.name for schema in load_schemas()}


def _origin(text: bytes) -> Place | None:
    parts = text.decode(errors="replace").rsplit("/", 2)
    if len(parts) != 3 or not all(re.fullmatch(r"\d{1,18}", part, re.ASCII) for part in parts[1:]):
        return None
    return Place(clipped(parts[0], NAME_BYTES_MAX), int(parts[1]), int(parts[2]))


def _key_text(key: bytes) -> str | None:
    try:
        return clipped(key.decode(), DERIVED_ID_BYTES_MAX)
    except UnicodeDecodeError:
        return None


def _text(value: bytes, chars_max: int) -> str:
    return clipped(value[: 4 * chars_max + 4].decode(errors="replace"), chars_max)


def _count(value: bytes) -> int:
    """A header that is there and no number still says: cut."""
    if not value:
        return 0
    return int(value) if re.fullmatch(rb"[1-9]\d{0,17}", value) else 1
