"""Confluent's framing of a command: a zero byte, the schema's id in a registry (4 bytes, big-endian), an Avro record.

The writer's schema is a stranger's. So it is not handed to the Avro library: what a command needs of it (a flat record of
simple types) is written anew, and whatever is more is refused by name. That bounds what reading one record can cost: no
recursion, no list of a billion nothings in five bytes. The record is resolved to our current schema by Avro's own rules.
"""

from __future__ import annotations

import io
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import fastavro

from perdure.codec.avro import DecodeError
from perdure.codec.schemas import Schema, load_schemas
from perdure.core.commands import NOT_FOR_STRANGERS, ClientCommand
from perdure.core.limits import SCHEMA_FIELDS_MAX

__all__ = ["FRAME", "FRAME_BYTES", "SchemaMisfit", "WriterSchema", "schema_id"]

FRAME: Final = b"\x00"
FRAME_BYTES: Final = 5

_SIMPLE: Final = frozenset(("null", "boolean", "int", "long", "float", "double", "bytes", "string"))


class SchemaMisfit(DecodeError):
    """A registry's schema is none that a command could be written with; the text says why."""


def schema_id(value: bytes) -> int:
    """Of a value that begins with FRAME. Raises DecodeError if it ends before the id does."""
    if len(value) < FRAME_BYTES:
        raise DecodeError(
            f"{len(value)} bytes are too short for Confluent's framing (a zero byte and a 4-byte schema id)"
        )
    return int.from_bytes(value[1:FRAME_BYTES], "big")


class WriterSchema:
    """A schema of the registry, found fit. Raises SchemaMisfit for one that is not."""

    def __init__(self, source: Any) -> None:
        name = _full_name(source)
        known = _commands().get(name)
        if known is None:
            raise SchemaMisfit(f"is of {name[:100]!r}: a command's is a record named one of {', '.join(_commands())}")
        self._make, current = known
        self._current = current.parsed
        ours = {field["name"]: field["type"] for field in current.source["fields"]}
        fields = _fields(source["fields"], ours)
        try:
            self._parsed = fastavro.parse_schema({"type": "record", "name": name, "fields": fields})
        except Exception as error:  # noqa: BLE001 - whatever the library says of what a stranger combined
            raise SchemaMisfit(f"is no Avro schema: {type(error).__name__}: {error}"[:300]) from None

    def decode(self, value: bytes) -> ClientCommand:
        """The command in a framed value. Raises DecodeError; never anything else, whatever the bytes."""
        source = io.BytesIO(value)
        source.seek(FRAME_BYTES)
        try:
            fields: Any = fastavro.schemaless_reader(source, self._parsed, self._current)
            left = len(value) - source.tell()
            command = self._make(**fields)
            own = [name for name, given in fields.items() if given and name in NOT_FOR_STRANGERS]
        except Exception as error:  # noqa: BLE001 - whatever the decoder says of a stranger's bytes
            text = f"not a valid record of its schema: {type(error).__name__}: {error}"
            raise DecodeError(text[:300]) from None
        if own:
            raise DecodeError(f"sets {', '.join(own)}: these are for our own clients and services: leave them out")
        if left:
            raise DecodeError(f"{left} bytes after the end of the record")
        return command


@cache
def _commands() -> dict[str, tuple[Callable[..., ClientCommand], Schema]]:
    classes = {cls.__name__: cls for cls in typing.get_args(ClientCommand)}
    return {
        _full_name(schema.source): (classes[schema.name], schema)
        for schema in load_schemas()
        if schema.family == "command" and schema.current and schema.name in classes
    }


def _full_name(source: Any) -> str:
    if type(source) is not dict or source.get("type") != "record" or type(source.get("fields")) is not list:
        raise SchemaMisfit("is no record")
    name, namespace = source.get("name"), source.get("namespace")
    if type(name) is not str:
        raise SchemaMisfit("has no name")
    return name if "." in name or type(namespace) is not str or not namespace else f"{namespace}.{name}"


def _fields(given: list[Any], ours: dict[str, Any]) -> list[dict[str, Any]]:
    if len(given) > SCHEMA_FIELDS_MAX:
        raise SchemaMisfit(f"has {len(given)} fields, and may have {SCHEMA_FIELDS_MAX}")
    made: dict[str, dict[str, Any]] = {}
    for number, field in enumerate(given):
        name = field.get("name") if type(field) is dict else None
        if type(name) is not str or not name.isidentifier() or not name.isascii() or name in made:
            raise SchemaMisfit(f"has a field without a name of its own (number {number + 1})")
        meaning, other = _meaning(ours.get(name)), _meaning(field.get("type"))
        if meaning and other and other != meaning:  # milliseconds would be read as microseconds
            raise SchemaMisfit(f"has field '{name}' as {other[:100]}, and it is {meaning}")
        made[name] = {"name": name, "type": _anew(field.get("type"), name, f"t{number}")}
    return list(made.values())


def _meaning(kind: Any) -> str:
    found = kind.get("logicalType") if type(kind) is dict else None
    return found if type(found) is str else ""


def _anew(kind: Any, field: str, name: str) -> Any:
    """The type once more, from what is known of it: names, docs, defaults and whatever else a stranger wrote stay behind."""
    if type(kind) is str and kind in _SIMPLE:
        return kind
    if type(kind) is dict and type(kind.get("type")) is str:
        inner = kind["type"]
        if inner in _SIMPLE:
            return inner
        if inner == "fixed" and type(kind.get("size")) is int and 0 <= kind["size"] < 1 << 20:
            return {"type": "fixed", "name": name, "size": kind["size"]}
        if inner == "enum" and type(kind.get("symbols")) is list and 0 < len(kind["symbols"]) <= SCHEMA_FIELDS_MAX:
            # Which symbol it is nobody asks: no command has an enum, and one that has may only be passed over.
            return {"type": "enum", "name": name, "symbols": [f"s{number}" for number in range(len(kind["symbols"]))]}
    if type(kind) is list and 0 < len(kind) <= SCHEMA_FIELDS_MAX and not any(type(each) is list for each in kind):
        return [_anew(each, field, f"{name}_{number}") for number, each in enumerate(kind)]
    raise SchemaMisfit(
        f"has in field '{field[:100]}' what no command has: a command is flat, of simple types and unions of them"
    )
