"""Records as a stranger reads them: fastavro and the files in `schemas/`, none of the engine's code."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import fastavro

SCHEMAS = Path(__file__).parents[2] / "schemas"
HEADER_BYTES = 10


class Fact(NamedTuple):
    """One record of the topic `history`: an event of an instance, or a marker (of the instance "")."""

    partition: int
    offset: int
    at: float  # seconds, by the broker's clock
    instance: str
    name: str
    fields: dict[str, Any]
    value: bytes

    @property
    def place(self):
        """(instance, run, generation)"""
        return self.instance, self.fields["run"], self.fields["generation"]


def fact(record):
    """Of a consumer's record."""
    name, fields = decode(record.value)
    return Fact(
        record.partition, record.offset, record.timestamp / 1000, record.key.decode(), name, fields, record.value
    )


def decode(value):
    """(name of the record, its fields) of a message in Avro's single-object encoding."""
    name, schema = _schemas()[bytes(value[:HEADER_BYTES])]
    return name, fastavro.schemaless_reader(io.BytesIO(value[HEADER_BYTES:]), schema, None)


@cache
def _schemas():
    found = {}
    for path in SCHEMAS.glob("*/*.avsc"):
        source = json.loads(path.read_text(encoding="utf-8"))
        canonical = fastavro.schema.to_parsing_canonical_form(source)
        fingerprint = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
        found[b"\xc3\x01" + fingerprint] = source["name"], fastavro.parse_schema(_plain(source))
    return found


def _plain(node):
    """Without logical types: microseconds stay numbers."""
    if isinstance(node, dict):
        return node["type"] if "logicalType" in node else {key: _plain(value) for key, value in node.items()}
    return [_plain(item) for item in node] if isinstance(node, list) else node
