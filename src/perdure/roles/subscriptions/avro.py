"""Avro messages of other producers, as JSON values.

| Avro | JSON |
|---|---|
| null, boolean, int, long, string, enum, record, map, array | as it is; a union is the value that was written |
| float, double | a number; NaN and infinities have none: the message does not fit |
| bytes, fixed | base64 (RFC 4648, with padding) |
| decimal, uuid | text |
| timestamp-millis, timestamp-micros | RFC 3339 in UTC, `2026-01-31T12:00:00.000000Z` |
| local-timestamp-millis, -micros | the same without the Z |
| date, time-millis, time-micros | `2026-01-31`, `12:00:00` |
| any other logical type | what it is written as |

**Law.** No message may cost more than its bytes are worth. The decoder counts neither depth nor items: so a schema that
lets a short message nest without end (a type within itself) or hold much without bytes (an array, or a field, of what
takes none) is refused, by name, before a message is read with it. Of those the first would end the process. Decimals have
bounds of their own: `decimals`.
"""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import fastavro

from perdure.core.clipping import clipped, text_of
from perdure.core.errors import PerdureError
from perdure.core.limits import AVRO_SCHEMA_BYTES_MAX, PAYLOAD_DEPTH_MAX
from perdure.roles.subscriptions.decimals import decimal_fault, decimals_bounded

__all__ = ["AvroSchema", "AvroWrong", "SchemaUnfit"]

SINGLE_OBJECT: Final = b"\xc3\x01"
NAMED: Final = ("record", "error", "enum", "fixed")


class SchemaUnfit(PerdureError, ValueError):
    """No Avro schema, or not one that messages are read with here."""


class AvroWrong(PerdureError, ValueError):
    """These bytes are no message of the schema."""


class AvroSchema:
    """A writer's schema. `source`: as it was given. Raises SchemaUnfit."""

    __slots__ = ("_header", "_parsed", "source")

    def __init__(self, source: Any) -> None:
        try:
            size = len(json.dumps(source))
            if size > AVRO_SCHEMA_BYTES_MAX:
                raise SchemaUnfit(f"the schema has {size:,} bytes; the limit is {AVRO_SCHEMA_BYTES_MAX:,}")
            _check(source, (), {})
            bounded = decimals_bounded(source)
        except RecursionError:
            raise SchemaUnfit(f"the schema is nested deeper than {PAYLOAD_DEPTH_MAX} levels") from None
        try:
            self._parsed = fastavro.parse_schema(bounded)
            canonical = fastavro.schema.to_parsing_canonical_form(bounded)
            fingerprint = fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
        except Exception as error:  # noqa: BLE001 - whatever the library says of a text that is none
            raise SchemaUnfit(f"this is no Avro schema: {_told(error)}") from None
        self._header = SINGLE_OBJECT + bytes.fromhex(fingerprint)
        self.source = source

    def of_message(self, message: bytes) -> Any:
        """Single-object encoding where it begins with this schema's fingerprint, else the bare value. Raises AvroWrong."""
        skipped = len(self._header) if message.startswith(self._header) else 0
        return self.value(message, skipped)

    def value(self, message: bytes, begin: int) -> Any:
        """The JSON value of the datum that begins there and ends with the message. Raises AvroWrong."""
        source = io.BytesIO(message)
        source.seek(begin)
        try:
            found = _plain(fastavro.schemaless_reader(source, self._parsed, None))
        except Exception as error:  # noqa: BLE001 - whatever the decoder says of a stranger's bytes
            raise AvroWrong(f"it does not fit its Avro schema: {_told(error)}") from None
        if source.tell() != len(message):
            raise AvroWrong(f"{len(message) - source.tell():,} bytes follow the end of the Avro value")
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AvroSchema) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self._header)


def _told(error: BaseException) -> str:
    return clipped(f"{type(error).__name__}: {' '.join(text_of(error).split())}", 300)


@dataclass(slots=True, frozen=True)
class _Shape:
    """Of a type's values: how deep they nest at most, one item of each array; and whether they may take no byte."""

    depth: int = 1
    nothing: bool = False


def _check(node: Any, within: tuple[str, ...], known: dict[str, _Shape]) -> _Shape:
    """`within`: names of the types around it; `known`: those that were defined before, by their last parts."""
    if isinstance(node, list):
        branches = [_check(each, within, known) for each in node]
        return _deeper(*branches)  # a branch has a number of its own, so that nothing takes a byte
    if isinstance(node, str):
        if any(_short(node) == _short(name) for name in within):
            raise SchemaUnfit(f"the schema's type '{node[:80]}' holds itself: a message could nest without end")
        return known.get(_short(node), _Shape(nothing=node == "null"))
    if not isinstance(node, Mapping):
        raise SchemaUnfit(f"this is no Avro schema: {str(node)[:80]!r} is no type")
    fault = decimal_fault(node)
    if fault:
        raise SchemaUnfit(fault)
    kind = node.get("type")
    if kind in ("array", "map"):
        inner = _check(node.get("items" if kind == "array" else "values"), within, known)
        if kind == "array" and inner.nothing:
            raise SchemaUnfit("the schema has an array of what takes no byte: a message could repeat it without end")
        return _deeper(inner)
    if kind not in NAMED:
        return _check(kind, within, known)
    name = str(node.get("name", ""))
    shape = _Shape(nothing=node.get("size") == 0) if kind in ("enum", "fixed") else _fields(name, node, within, known)
    known[_short(name)] = shape
    return shape


def _fields(name: str, node: Mapping[str, Any], within: tuple[str, ...], known: dict[str, _Shape]) -> _Shape:
    fields = node.get("fields")
    if not isinstance(fields, list) or not all(isinstance(each, Mapping) for each in fields):
        raise SchemaUnfit(f"this is no Avro schema: record '{name[:80]}' has no fields")
    shapes = [_check(each.get("type"), (*within, name), known) for each in fields]
    if any(each.nothing for each in shapes):
        raise SchemaUnfit(
            f"the schema's record '{name[:80]}' has a field that takes no byte: a short message could hold it without end"
        )
    return _Shape(_deeper(*shapes).depth, nothing=not shapes)


def _deeper(*inner: _Shape) -> _Shape:
    depth = 1 + max((each.depth for each in inner), default=0)
    if depth > PAYLOAD_DEPTH_MAX:
        raise SchemaUnfit(f"the schema is nested deeper than {PAYLOAD_DEPTH_MAX} levels")
    return _Shape(depth)


def _short(name: str) -> str:
    """A name may be written with its namespace or without; two types that only look alike count as one, to be sure."""
    return name.rpartition(".")[2]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, UUID) else value


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat(timespec="microseconds")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
