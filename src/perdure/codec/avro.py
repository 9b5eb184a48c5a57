"""Dataclass ⇄ Avro bytes, in single-object encoding: self-describing, no registry.

    C3 01 | CRC-64-AVRO fingerprint, 8 bytes little-endian | record

The fingerprint alone says which record follows and in which version, so a reader needs no envelope. Bytes of an older
version are resolved to the current one while decoding (Avro's own rules: a new field takes its default).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import fastavro

from perdure.codec.encoder import Encoder
from perdure.codec.record_types import nested_fields, record_types
from perdure.codec.schemas import HEADER_BYTES, MAGIC, load_schemas
from perdure.codec.versions import current_schemas
from perdure.core.errors import PerdureError

__all__ = ["DecodeError", "decode", "encode", "record_types"]


class DecodeError(PerdureError, ValueError):
    """These bytes are no message of ours; the text says why."""


def encode(record: Any) -> bytes:
    """The message for one of `record_types()`, at the newest write version. Who writes to a namespace that others read,
    too, has an `Encoder` of its own.
    """
    return _newest()(record)


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
def _newest() -> Encoder:
    return Encoder()


@cache
def _decoders() -> dict[bytes, tuple[Any, Any, Callable[[dict[str, Any]], Any]]]:
    classes = {cls.__name__: cls for cls in record_types()}
    current = current_schemas()
    return {
        schema.header: (
            schema.parsed,
            None if schema.current else current[schema.name].parsed,
            _from_dict(classes[schema.name]),
        )
        for schema in load_schemas()
    }


def _from_dict(cls: type) -> Callable[[dict[str, Any]], Any]:
    inner = {name: _from_dict(kind) for name, kind in nested_fields(cls).items()}

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
