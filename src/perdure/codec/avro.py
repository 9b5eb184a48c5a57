"""Dataclass ⇄ Avro bytes, in single-object encoding: self-describing, no registry.

    C3 01 | CRC-64-AVRO fingerprint, 8 bytes little-endian | record

The fingerprint alone says which record follows and in which version, so a reader needs no envelope. Bytes of an older
version are resolved to the current one while decoding (Avro's own rules: a new field takes its default).
"""

from __future__ import annotations

import dataclasses
import io
import types
import typing
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import fastavro

from perdure.codec.schemas import HEADER_BYTES, MAGIC, load_schemas
from perdure.core import commands, effects, events, replies, rows
from perdure.core.errors import PerdureError

__all__ = ["DecodeError", "decode", "encode", "record_types"]


class DecodeError(PerdureError, ValueError):
    """These bytes are no message of ours; the text says why."""


def record_types() -> tuple[type, ...]:
    """Every dataclass that has a schema of its own."""
    return (
        *typing.get_args(commands.Command),
        *typing.get_args(events.Event),
        events.BatchCommitted,
        effects.ActivityTask,
        effects.SetTimer,
        effects.CancelTimer,
        replies.Reply,
        rows.InstanceRow,
    )


def encode(record: Any) -> bytes:
    """The message for one of `record_types()`."""
    header, schema, to_dict = _encoders()[type(record)]
    out = io.BytesIO()
    out.write(header)
    fastavro.schemaless_writer(out, schema, to_dict(record))
    return out.getvalue()


def decode(message: bytes) -> Any:
    """The record in a message. Raises DecodeError; never anything else, whatever the bytes."""
    found = _decoders().get(message[:HEADER_BYTES])
    if found is None:
        raise DecodeError(_why_unknown(message))
    schema, reader_schema, build = found
    source = io.BytesIO(message)
    source.seek(HEADER_BYTES)
    try:
        fields = fastavro.schemaless_reader(source, schema, reader_schema)
        if source.tell() != len(message):
            raise DecodeError(  # noqa: TRY301 - where the fault is seen
                f"{len(message) - source.tell()} bytes after the end of the record"
            )
        return build(fields)  # type: ignore[arg-type]
    except DecodeError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the decoder says of a stranger's bytes
        raise DecodeError(f"not a valid record of its schema: {type(error).__name__}: {error}"[:300]) from None


def _why_unknown(message: bytes) -> str:
    if len(message) < HEADER_BYTES:
        return f"{len(message)} bytes are too short for Avro's single-object encoding (10-byte header)"
    if message[:2] != MAGIC:
        return f"starts with {message[:2].hex()}, not with c301 (Avro's single-object encoding)"
    return f"schema fingerprint {message[2:HEADER_BYTES].hex()} is not known here: written by a newer version?"


@cache
def _encoders() -> dict[type, tuple[bytes, Any, Callable[[Any], dict[str, Any]]]]:
    current = {schema.name: schema for schema in load_schemas() if schema.current}
    return {cls: (current[cls.__name__].header, current[cls.__name__].parsed, _to_dict(cls)) for cls in record_types()}


@cache
def _decoders() -> dict[bytes, tuple[Any, Any, Callable[[dict[str, Any]], Any]]]:
    classes = {cls.__name__: cls for cls in record_types()}
    current = {schema.name: schema for schema in load_schemas() if schema.current}
    return {
        schema.header: (
            schema.parsed,
            None if schema.current else current[schema.name].parsed,
            _from_dict(classes[schema.name]),
        )
        for schema in load_schemas()
    }


def _nested(annotation: Any) -> type | None:
    """The dataclass inside `X`, `X | None` or `list[X]`, if there is one."""
    if dataclasses.is_dataclass(annotation):
        return typing.cast("type", annotation)
    if typing.get_origin(annotation) in (list, types.UnionType):
        return next(filter(None, map(_nested, typing.get_args(annotation))), None)
    return None


def _nested_fields(cls: type) -> dict[str, type]:
    found = {name: _nested(hint) for name, hint in typing.get_type_hints(cls).items()}
    return {name: inner for name, inner in found.items() if inner is not None}


def _to_dict(cls: type) -> Callable[[Any], dict[str, Any]]:
    names = tuple(field.name for field in dataclasses.fields(cls))
    values = attrgetter(*names) if len(names) > 1 else (lambda record: (getattr(record, names[0]),))
    inner = {name: _to_dict(kind) for name, kind in _nested_fields(cls).items()}

    def flat(record: Any) -> dict[str, Any]:
        return dict(zip(names, values(record), strict=False))

    def deep(record: Any) -> dict[str, Any]:
        fields = flat(record)
        for name, convert in inner.items():
            value = fields[name]
            if isinstance(value, list):
                fields[name] = [convert(item) for item in value]
            elif value is not None:
                fields[name] = convert(value)
        return fields

    return deep if inner else flat


def _from_dict(cls: type) -> Callable[[dict[str, Any]], Any]:
    inner = {name: _from_dict(kind) for name, kind in _nested_fields(cls).items()}

    def flat(fields: dict[str, Any]) -> Any:
        return cls(*fields.values())  # a record's fields come in the schema's order, which is the class's

    def deep(fields: dict[str, Any]) -> Any:
        for name, convert in inner.items():
            value = fields[name]
            if isinstance(value, list):
                fields[name] = [convert(item) for item in value]
            elif value is not None:
                fields[name] = convert(value)
        return cls(**fields)

    return deep if inner else flat
