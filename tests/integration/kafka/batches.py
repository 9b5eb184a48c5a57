"""Batches of records byte for byte, as programs in other languages may build them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

Raw = tuple[bytes | None, bytes | None, Sequence[tuple[bytes, bytes | None]]]


class _Name(str):
    """A header's name that keeps the bytes it was made of."""

    __slots__ = ()

    def encode(self, *_: Any, **__: Any) -> bytes:
        return str.encode(self, "utf-8", "surrogateescape")


def batch_of(
    records: Sequence[Raw], base: int = 0, producer: int = -1, *, codec: int = 0, control: bool = False
) -> bytes:
    """With a right CRC. `producer`: of a transaction, if there is one."""
    built = _DefaultRecordBatchBuilderPy(2, codec, producer >= 0, producer, 0 if producer >= 0 else -1, -1, 1_000_000)
    for number, (key, value, headers) in enumerate(records):
        named = [(_Name(name.decode("utf-8", "surrogateescape")), content) for name, content in headers]
        assert built.append(number, timestamp=1, key=key, value=value, headers=named) is not None
    raw = bytearray(built.build())
    raw[0:8] = base.to_bytes(8, "big")
    if control:
        raw[22] |= 0x20
        raw[17:21] = calc_crc32c(bytes(raw[21:])).to_bytes(4, "big")
    return bytes(raw)
