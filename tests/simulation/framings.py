"""Commands as strangers frame them: JSON, Avro's single-object encoding, Confluent's framing with a registry's schema.

Written and read by none of the engine's code, from `schemas/` alone: the world frames what it publishes, and the laws read
what is in the log. Fields that a framing leaves out have the defaults of the current schema.
"""

from __future__ import annotations

import io
import json
from functools import cache

import fastavro

from perdure.core.headers import COMMAND_ID, CONTENT_TYPE
from tests.faults.records import SCHEMAS, decode

JSON = (CONTENT_TYPE, b"application/json")
PAYLOADS = ("input", "data", "output")

REGISTRY = {
    1: {
        "type": "record", "name": "StartWorkflow", "namespace": "perdure.command",
        "fields": [
            {"name": "input", "type": "string", "default": ""}, {"name": "name", "type": "string"},
            {"name": "command_id", "type": "string", "default": ""},
        ],
    },
    2: {
        "type": "record", "name": "perdure.command.RaiseEvent",
        "fields": [
            {"name": "note", "type": ["null", "long"]}, {"name": "name", "type": "string"},
            {"name": "data", "type": "string"}, {"name": "command_id", "type": "string"},
        ],
    },
    3: {"type": "record", "name": "shop.Order", "fields": [{"name": "id", "type": "string"}]},
}  # fmt: skip
"""What the simulated registry has: two that commands are written with, other than ours, and one that is no command's."""

WRITTEN_WITH = {"StartWorkflow": 1, "RaiseEvent": 2}
UNKNOWN_SCHEMA = 99


def text_of(value):
    """A payload, as a command holds it."""
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def framed(framing, name, fields):
    """(value, headers). `fields`: payloads are JSON values."""
    if framing == "json":
        return json.dumps({"command": name, **fields}, ensure_ascii=False).encode(), (JSON,)
    texts = {key: text_of(value) if key in PAYLOADS else value for key, value in fields.items()}
    out = io.BytesIO()
    if framing == "confluent":
        schema_id = WRITTEN_WITH[name]
        out.write(b"\0" + schema_id.to_bytes(4, "big"))
        schema = _registered(schema_id)
        texts = {each["name"]: texts.get(each["name"], "") for each in REGISTRY[schema_id]["fields"]} | {"note": None}
    else:
        header, schema, defaults = _current(name)
        out.write(header)
        texts = {**defaults, **texts}
    fastavro.schemaless_writer(out, schema, texts)
    return out.getvalue(), ()


def opened(value, headers):
    """(name, fields) of a command's record. Raises ValueError, KeyError, EOFError, IndexError for what is none."""
    told = dict(headers)
    if told.get(CONTENT_TYPE, b"").startswith(b"application/json"):
        fields = json.loads(value)
        name = fields.pop("command")
        fields = {key: text_of(given) if key in PAYLOADS else given for key, given in fields.items()}
    elif value[:1] == b"\0":
        schema_id = int.from_bytes(value[1:5], "big")
        name = REGISTRY[schema_id]["name"].rpartition(".")[2]
        fields = fastavro.schemaless_reader(io.BytesIO(value[5:]), _registered(schema_id), None)
        fields.pop("note", None)
    else:
        name, fields = decode(value)
    fields = {**_defaults(name), **fields}
    if "command_id" in fields and not fields["command_id"]:
        fields["command_id"] = told.get(COMMAND_ID, b"").decode()
    return name, fields


@cache
def _registered(schema_id):
    return fastavro.parse_schema(REGISTRY[schema_id])


@cache
def _current(name):
    """(header, schema, defaults)"""
    source = json.loads((SCHEMAS / "command" / f"{name}.avsc").read_text(encoding="utf-8"))
    fingerprint = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(source), "CRC-64-AVRO")
    schema = {**source, "fields": [{**field, "type": _plain(field["type"])} for field in source["fields"]]}
    return b"\xc3\x01" + bytes.fromhex(fingerprint), fastavro.parse_schema(schema), _defaults(name)


def _plain(kind):
    """Without a logical type."""
    return kind["type"] if isinstance(kind, dict) and "logicalType" in kind else kind


@cache
def _defaults(name):
    """Of the fields that have one, by the current schema of a command."""
    path = SCHEMAS / "command" / f"{name}.avsc"
    if not path.exists():
        return {}
    source = json.loads(path.read_text(encoding="utf-8"))
    return {field["name"]: field["default"] for field in source["fields"] if "default" in field}
