"""Messages as producers with other tools make them: JSON, and Confluent's framing."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import fastavro

from perdure.codec.json_commands import PAYLOAD_FIELDS
from perdure.core.commands import NOT_FOR_STRANGERS
from tests.codec.shapes import current_schema

__all__ = ["JSON_HEADERS", "a_strangers", "as_json", "framed", "source_of"]

JSON_HEADERS = (("content-type", b"application/json"),)


def as_json(command: Any, *, sparse: bool = False) -> bytes:
    """`sparse`: without what is at its default."""
    told = dataclasses.asdict(command)
    for name in PAYLOAD_FIELDS & told.keys():
        told[name] = json.loads(told[name]) if told[name] else None
    if sparse:
        defaults = {field.name: field.default for field in dataclasses.fields(command)}
        told = {name: value for name, value in told.items() if getattr(command, name) != defaults[name]}
    return json.dumps({"command": type(command).__name__, **told}).encode()


def a_strangers(command: Any) -> Any:
    """Without what only our own clients and services may say."""
    defaults = {field.name: field.default for field in dataclasses.fields(command)}
    own = [name for name in defaults if name in NOT_FOR_STRANGERS]
    return dataclasses.replace(command, **{name: defaults[name] for name in own})


def source_of(command: Any) -> dict[str, Any]:
    """Our schema of it, as a registry would have it."""
    return current_schema(type(command))


def framed(schema_id: int, source: Any, fields: dict[str, Any]) -> bytes:
    """A record of that schema in Confluent's framing."""
    out = io.BytesIO()
    out.write(b"\0" + schema_id.to_bytes(4, "big"))
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(source))), fields)
    return out.getvalue()
