"""How far the tasks of one partition are done, when they end out of order.

Law. Offsets are taken in ascending order and finished in any order. `low` is the lowest offset that is taken and not
finished, or the next one to take; so everything below `low` is finished, and a group position of `low` loses nothing.
What is finished above `low` travels with the position as metadata: whoever takes the partition over skips it.

Beside it travel delivery counts: how often a task that may have been handed out before was handed out again. A task
that takes its worker down is recognised by them.

The metadata is text of at most 4 KB: a bitmap of what is finished above `low`, then the counts. A bitmap, because its
size depends on the span alone and not on the pattern; `SPAN_MAX` follows from it. Rejected: runs of finished offsets
(two bytes for each in the worst pattern, every second one done, so an eighth of the span in the same room).
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["COUNTS_MAX", "METADATA_CHARS_MAX", "SPAN_MAX", "Watermark", "decode_metadata", "encode_metadata"]

METADATA_CHARS_MAX: Final = 4096
"""Kafka's default for offset metadata."""

SPAN_MAX: Final = 16_384
"""Offsets between `low` and the last one taken: 2 KB of bitmap, 2,732 characters. Past it the partition is paused."""

COUNTS_MAX: Final = 192
"""Delivery counts kept; at most five bytes each, 1,280 characters. The highest are kept: those name the suspects."""

_VERSION: Final = "1"


class Watermark:
    """One partition's progress. `next` is the offset after the last one taken or passed over."""

    __slots__ = ("_order", "counts", "done", "next")

    def __init__(self, position: int, done: Iterable[int] = (), counts: Mapping[int, int] | None = None) -> None:
        self.next = position
        self.done = {offset for offset in done if offset >= position}
        self.counts = {offset: count for offset, count in (counts or {}).items() if offset >= position}
        self._order: deque[int] = deque()

    @property
    def low(self) -> int:
        """Everything below is finished."""
        return self._order[0] if self._order else self.next

    @property
    def open(self) -> int:
        """How many offsets are between `low` and `next`, finished ones included."""
        return len(self._order)

    def has_room(self, offset: int) -> bool:
        """Whether the metadata still has a bit for this offset."""
        return not self._order or offset - self._order[0] < SPAN_MAX

    def take(self, offset: int) -> bool:
        """Begin this offset, above all earlier ones. False: a predecessor has finished it already."""
        self.next = offset + 1
        if offset in self.done:
            if self._order:
                self._order.append(offset)
            else:
                self.done.discard(offset)
            return False
        self._order.append(offset)
        return True

    def finish(self, offset: int) -> None:
        """This offset is done. Repeating it is harmless."""
        order = self._order
        if self.counts:
            self.counts.pop(offset, None)
        if not order or offset < order[0]:
            return
        self.done.add(offset)
        while order and order[0] in self.done:
            self.done.discard(order.popleft())

    def pass_to(self, position: int) -> None:
        """Nothing is to be read below this position (offsets skip numbers)."""
        self.next = max(self.next, position)

    def metadata(self) -> str:
        """What belongs to a group position of `low`."""
        if not self.done and not self.counts:
            return ""
        return encode_metadata(self.low, self.done, self.counts)


def encode_metadata(low: int, done: Iterable[int], counts: Mapping[int, int]) -> str:
    """Text of at most METADATA_CHARS_MAX for offsets in [low, low + SPAN_MAX); `""` if there is nothing to tell."""
    bits = bytearray((SPAN_MAX + 7) // 8)
    last = -1
    for offset in done:
        place = offset - low
        if 0 <= place < SPAN_MAX:
            bits[place >> 3] |= 1 << (place & 7)
            last = max(last, place)
    bitmap = bytes(bits[: (last >> 3) + 1])
    kept = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:COUNTS_MAX]
    if not bitmap and not kept:
        return ""
    out = bytearray(_varint(len(bitmap)))
    out += bitmap
    before = low
    for offset, count in sorted(kept):
        out += _varint(offset - before)
        out.append(min(count, 255))
        before = offset
    return _VERSION + base64.b64encode(out).decode("ascii")


def decode_metadata(text: str, low: int) -> tuple[set[int], dict[int, int]]:
    """(finished offsets, delivery counts) of a group position of `low`. Raises ValueError if it is not our text."""
    if not text:
        return set(), {}
    if not text.isascii():
        raise ValueError("offset metadata is damaged: it is no ASCII")
    if text[0] != _VERSION:
        raise ValueError(f"offset metadata of another version: {text[:1]!r}")
    try:
        raw = base64.b64decode(text[1:], validate=True)
        size, at = _read_varint(raw, 0)
        bitmap, at = raw[at : at + size], at + size
        if len(bitmap) != size:
            raise ValueError("offset metadata is cut short")
        done = {low + index for index in range(size * 8) if bitmap[index >> 3] >> (index & 7) & 1}
        counts: dict[int, int] = {}
        offset = low
        while at < len(raw):
            gap, at = _read_varint(raw, at)
            offset += gap
            counts[offset] = raw[at]
            at += 1
    except (binascii.Error, IndexError, UnicodeEncodeError) as error:
        raise ValueError(f"offset metadata is damaged: {error}") from None
    return done, counts


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = raw[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
