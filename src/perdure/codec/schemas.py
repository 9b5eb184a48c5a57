"""Finds the Avro schemas and names each by its fingerprint.

A wheel carries them as package data (`perdure/_schemas`); an editable install reads the checkout's `schemas/`.
Historical versions lie beside the current ones as `<Name>.v<N>.avsc` and are never removed: bytes written with them
are read for ever.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fastavro

from perdure.core.errors import PerdureError

__all__ = ["HEADER_BYTES", "MAGIC", "Schema", "SchemaError", "load_schemas", "schema_folder"]

MAGIC = b"\xc3\x01"
HEADER_BYTES = 10  # magic and the 8-byte CRC-64-AVRO fingerprint: Avro's single-object encoding


class SchemaError(PerdureError):
    """The installation lacks a schema."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one record type. `header` starts every message written with it."""

    name: str
    family: str  # command, event, task, reply, store
    current: bool
    header: bytes
    parsed: Any
    source: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """As the header has it, and `schemas/README.md`."""
        return self.header[len(MAGIC) :].hex()


def schema_folder() -> Path:
    """Where the .avsc files are, installed or editable."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_schemas", package.parent.parent / "schemas"):
        if (folder / "event").is_dir():
            return folder
    raise SchemaError(f"no Avro schemas beside {package}: the installation is incomplete, install perdure again")


@cache
def load_schemas() -> tuple[Schema, ...]:
    """Every schema, current and historical."""
    return tuple(_read(path) for path in sorted(schema_folder().glob("*/*.avsc")))


def _read(path: Path) -> Schema:
    source = json.loads(path.read_text(encoding="utf-8"))
    fingerprint = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(source), "CRC-64-AVRO")
    return Schema(
        name=source["name"],
        family=path.parent.name,
        current=path.stem == source["name"],
        header=MAGIC + bytes.fromhex(fingerprint),
        parsed=fastavro.parse_schema(_plain(source)),
        source=source,
    )


def _plain(node: Any) -> Any:
    """The schema without logical types: the engine counts in microseconds, a datetime per field would cost more."""
    if isinstance(node, dict):
        if "logicalType" in node:
            return node["type"]
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return node
