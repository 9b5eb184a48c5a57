"""Schema files and dataclasses say the same; fingerprints are Avro's."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any

import fastavro
import pytest

from perdure.codec.avro import encode, record_types
from perdure.codec.schemas import MAGIC, load_schemas, schema_folder
from perdure.core import commands, effects, events, replies, rows
from tests.codec.shapes import current_schema, least, nested, plain_type

FAMILY = {commands: "command", events: "event", effects: "task", replies: "reply", rows: "store"}


def test_every_record_type_has_one_current_schema_and_every_schema_a_record_type():
    current = sorted(schema.name for schema in load_schemas() if schema.current)
    assert current == sorted(cls.__name__ for cls in record_types())
    assert {schema.name for schema in load_schemas()} == set(current)


def test_every_event_command_and_message_is_a_record_type():
    assert set(typing.get_args(events.Event)) | set(typing.get_args(commands.Command)) < set(record_types())


@pytest.mark.parametrize("cls", record_types(), ids=lambda cls: cls.__name__)
def test_a_schema_agrees_with_its_dataclass(cls: type):
    family = next(name for module, name in FAMILY.items() if cls.__module__ == module.__name__)
    assert (schema_folder() / family / f"{cls.__name__}.avsc").is_file()
    source = current_schema(cls)
    assert source["namespace"] == f"perdure.{family}"
    agree(source, cls)


def agree(source: dict[str, Any], cls: type) -> None:
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)
    assert source["name"] == cls.__name__
    assert [field["name"] for field in source["fields"]] == [field.name for field in fields]
    for described, field in zip(source["fields"], fields, strict=True):
        assert described.get("default", dataclasses.MISSING) == default_of(field), field.name
        fits(described["type"], hints[field.name], field.name)


def default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def fits(node: Any, annotation: Any, name: str) -> None:
    if annotation is int:
        assert plain_type(node) in ("int", "long"), name
        if name.endswith("_us"):
            assert plain_type(node) == "long", name
        if name.endswith("at_us"):
            assert node == {"type": "long", "logicalType": "timestamp-micros"}, name
    elif annotation in (str, bool, float):
        assert node == {str: "string", bool: "boolean", float: "double"}[annotation], name
    elif typing.get_origin(annotation) is list:
        assert node["type"] == "array"
        fits(node["items"], typing.get_args(annotation)[0], "")
    elif typing.get_origin(annotation) is types.UnionType:
        assert node[0] == "null"
        fits(node[1], typing.get_args(annotation)[0], "")
    else:
        kind = nested(annotation)
        assert kind is not None
        agree(node, kind)


def test_a_schema_is_valid_avro_with_its_logical_types():
    for path in schema_folder().glob("*/*.avsc"):
        fastavro.parse_schema(json.loads(path.read_text(encoding="utf-8")))


def test_the_same_nested_record_looks_the_same_everywhere():
    seen: dict[str, Any] = {}
    for schema in load_schemas():
        if schema.current:
            for name, shape in inner(schema.source["fields"]):
                assert seen.setdefault(name, shape) == shape, f"{name} in {schema.name}"


def inner(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, list):
        return [found for item in node for found in inner(item)]
    if not isinstance(node, dict):
        return []
    here = [(node["name"], [(f["name"], plain_type(f["type"])) for f in node["fields"]])] if "fields" in node else []
    return here + [found for key in ("type", "items", "fields") for found in inner(node.get(key))]


def test_fingerprints_are_those_of_the_avro_specification():
    assert crc_64_avro(b'"int"') == 0x7275D51A3F395C8F
    for schema in load_schemas():
        canonical = fastavro.schema.to_parsing_canonical_form(schema.source)
        assert schema.header == MAGIC + crc_64_avro(canonical.encode()).to_bytes(8, "little")
    headers = [schema.header for schema in load_schemas()]
    assert len(set(headers)) == len(headers)


def crc_64_avro(data: bytes) -> int:
    """The Rabin fingerprint, straight from the specification."""
    empty = 0xC15D213AA4D7A795
    table = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = (value >> 1) ^ (empty if value & 1 else 0)
        table.append(value)
    found = empty
    for byte in data:
        found = (found >> 8) ^ table[(found ^ byte) & 0xFF]
    return found


def test_a_message_can_be_read_by_any_avro_reader():
    """Nothing of ours is needed: the header's fingerprint, then plain Avro by the published schema."""
    import io

    from perdure.core.commands import RaiseEvent

    message = encode(RaiseEvent("go", '{"n":1}', "c"))
    schema = json.loads((schema_folder() / "command" / "RaiseEvent.avsc").read_text(encoding="utf-8"))
    fields = fastavro.schemaless_reader(io.BytesIO(message[10:]), fastavro.parse_schema(schema), None)
    assert (fields["name"], fields["data"], fields["command_id"]) == ("go", '{"n":1}', "c")


def test_a_later_field_can_be_added_because_everything_but_identity_has_a_default():
    """What is added gets a default (Avro's rule for reading older bytes): the least record shows what is required."""
    for cls in record_types():
        least(cls)
