"""Avro's decimals, read within bounds.

The library converts as many bytes as a message brings, in the square of their number, and rounds what has more digits
than the schema's precision. So decimals are read here: under a logical type of our own, which a schema gets before it is
parsed and which no schema of others can name.

**Law.** A number is made of the bytes that the precision has room for, and of no more; it has the digits that were
written, or is refused. Bytes that only repeat the sign (a fixed has them often) are passed over, in one go.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any, Final

import fastavro

from perdure.core.limits import DECIMAL_DIGITS_MAX

__all__ = ["decimal_fault", "decimals_bounded"]

DECIMAL: Final = "decimal"
BOUNDED: Final = "perdure-bounded-decimal"
WRITTEN_AS: Final = ("bytes", "fixed")
TYPES_IN: Final = ("type", "items", "values", "fields")
EXACT: Final = Context(prec=DECIMAL_DIGITS_MAX)


def decimal_fault(node: Mapping[str, Any]) -> str:
    """What is wrong with a type of a schema as a decimal; "" for nothing, and for what is none."""
    if node.get("logicalType") != DECIMAL or node.get("type") not in WRITTEN_AS:
        return ""
    precision, scale = node.get("precision"), node.get("scale", 0)
    if type(precision) is not int or not 0 < precision <= DECIMAL_DIGITS_MAX:
        return f"the schema has a decimal of precision {str(precision)[:40]}: it may be 1 to {DECIMAL_DIGITS_MAX}"
    if type(scale) is not int or not 0 <= scale <= precision:
        return f"the schema has a decimal of scale {str(scale)[:40]}: it may be 0 to its precision, {precision}"
    return ""


def decimals_bounded(node: Any) -> Any:
    """The schema with decimals that are read here, and without what the library would take for its own marks."""
    if isinstance(node, list):
        return [decimals_bounded(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    made = {key: decimals_bounded(each) if key in TYPES_IN else each for key, each in node.items() if key[:2] != "__"}
    if made.get("logicalType") == BOUNDED:
        del made["logicalType"]
    elif made.get("logicalType") == DECIMAL and made.get("type") in WRITTEN_AS:
        made["logicalType"] = BOUNDED
    return made


def _read(data: bytes, schema: Any, _: object = None) -> Decimal:
    """Raises ValueError."""
    precision, significant = schema["precision"], _significant(data)
    fits = len(significant) <= _room(precision)
    number = int.from_bytes(significant, "big", signed=True) if fits else 0
    if not fits or abs(number) >= 10**precision:
        raise ValueError(f"a decimal of {len(data):,} bytes has more digits than its precision, {precision}")
    return EXACT.create_decimal(number).scaleb(-schema.get("scale", 0), EXACT)


def _significant(data: bytes) -> bytes:
    """Without the bytes at the front that say no more than the sign."""
    sign = b"\xff" if data[:1] >= b"\x80" else b"\x00"
    rest = data.lstrip(sign)
    return rest if rest and (rest[0] >= 0x80) == (sign == b"\xff") else sign + rest


def _room(precision: int) -> int:
    """Bytes of the greatest number of so many digits, with its sign."""
    most: int = 10**precision - 1
    return most.bit_length() // 8 + 1


fastavro.read.LOGICAL_READERS.update({f"{kind}-{BOUNDED}": _read for kind in WRITTEN_AS})
