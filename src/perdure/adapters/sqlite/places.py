"""The place of a stored event, read from the first bytes of its Avro record.

Every event begins with run, generation and seq (`perdure.core.events`), in every version of its schema; reading just
these is ten times cheaper than decoding the event.
"""

from __future__ import annotations

from perdure.codec.schemas import HEADER_BYTES

__all__ = ["event_place", "run_order"]


def event_place(value: bytes) -> tuple[str, int, int]:
    """(run, generation, seq) of an event in single-object encoding."""
    length, place = _long(value, HEADER_BYTES)
    run = value[place : place + length].decode()
    generation, place = _long(value, place + length)
    seq, _ = _long(value, place)
    return run, generation, seq


def run_order(run: str) -> tuple[int, int] | None:
    """(epoch, offset) of a run "epoch.partition.offset": of two runs of an id the later one has more. None: no run."""
    epoch, _, rest = run.partition(".")
    _, _, offset = rest.partition(".")
    return (int(epoch), int(offset)) if epoch.isdecimal() and offset.isdecimal() else None


def _long(value: bytes, place: int) -> tuple[int, int]:
    """Avro's long: zigzag, seven bits a byte, the low ones first."""
    shift = number = 0
    while True:
        byte = value[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), place
        shift += 7
