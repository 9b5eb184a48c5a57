"""Confluent's framing: the writer's schema is a stranger's, and what is read with it costs no more than what it wrote."""

import copy
import dataclasses
import json
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.codec.avro import DecodeError
from perdure.codec.confluent import SchemaMisfit, WriterSchema, schema_id
from perdure.codec.schemas import load_schemas
from perdure.core.commands import NOT_FOR_STRANGERS, ClientCommand, RaiseEvent, StartWorkflow
from tests.codec.framing import a_strangers, framed, source_of
from tests.codec.shapes import full
from tests.hostile.strangers import any_json, mutated

CLIENT_COMMANDS = typing.get_args(ClientCommand)
quick = settings(max_examples=300, deadline=None, database=None, print_blob=True)
START = source_of(StartWorkflow("x"))


def record(*fields, name="perdure.command.StartWorkflow"):
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields]}


@pytest.mark.parametrize("cls", CLIENT_COMMANDS)
def test_every_client_command_of_our_own_schemas_is_read(cls):
    command = a_strangers(full(cls))
    value = framed(7, source_of(command), dataclasses.asdict(command))
    assert schema_id(value) == 7
    assert WriterSchema(source_of(command)).decode(value) == command


@pytest.mark.parametrize(
    "schema", [each for each in load_schemas() if each.name in ("StartWorkflow", "PurgeWorkflow")], ids=str
)
def test_a_writer_of_an_earlier_version_is_resolved_to_ours(schema):
    fields = {
        field["name"]: {"string": "t", "boolean": True}.get(field["type"], 3)
        if field["name"] not in NOT_FOR_STRANGERS
        else {"string": "", "boolean": False}.get(field["type"], 0)
        for field in schema.parsed["fields"]
    }
    found = WriterSchema(schema.source).decode(framed(1, schema.source, fields))
    assert {name: getattr(found, name) for name in fields} == fields


def test_a_writers_own_fields_are_passed_over_and_missing_ones_take_their_defaults():
    enum = {"type": "enum", "name": "colour", "symbols": ["red", "green"]}
    fixed = {"type": "fixed", "name": "md5", "size": 16}
    source = record(
        ("colour", enum), ("name", {"type": "string", "avro.java.string": "String"}), ("hash", fixed),
        ("price", ["null", "double"]), ("command_id", ["null", "string"]), ("start_at_us", "int"), ("shade", ["null", enum["name"]]),
    )  # fmt: skip
    source["fields"].pop()
    given_ = {"colour": "green", "name": "order", "hash": b"0" * 16, "price": 1.5, "command_id": "c", "start_at_us": 5}
    found = WriterSchema(source).decode(framed(1, source, given_))
    assert found == StartWorkflow("order", command_id="c", start_at_us=5)


def test_a_namespace_may_stand_apart_from_the_name():
    apart = {**record(("name", "string"), name="RaiseEvent"), "namespace": "perdure.command"}
    assert WriterSchema(apart).decode(framed(1, apart, {"name": "e"})) == RaiseEvent("e")


BOMB = {"type": "array", "items": "null"}
LIST = {"type": "record", "name": "perdure.command.StartWorkflow", "fields": []}
LIST["fields"] = [{"name": "next", "type": ["null", "perdure.command.StartWorkflow"]}]
DEEP = "string"
for _ in range(900):
    DEEP = {"type": DEEP}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (None, "is no record"),
        ("string", "is no record"),
        ([], "is no record"),
        ({"type": "record"}, "is no record"),
        ({"type": "record", "fields": []}, "has no name"),
        (record(("name", "string"), name="shop.Order"), "of 'shop.Order'"),
        (record(("name", "string"), name="perdure.command.CompleteActivity"), "of 'perdure.command.CompleteActivity'"),
        (record(("name", "string"), ("x", BOMB)), "in field 'x' what no command has"),
        (record(("name", "string"), ("x", {"type": "map", "values": "string"})), "in field 'x'"),
        (record(("name", "string"), ("x", record(("y", "int"), name="y"))), "in field 'x'"),
        (LIST, "in field 'next'"),
        (record(("name", DEEP)), "in field 'name'"),
        (record(("name", ["null", ["null", "string"]])), "in field 'name'"),
        (record(("name", {"type": "fixed", "name": "n", "size": 1 << 40})), "in field 'name'"),
        (record(("name", {"type": "fixed", "name": "n", "size": -1})), "in field 'name'"),
        (record(("name", ["string"] * 300)), "in field 'name'"),
        (record(*((f"f{number}", "null") for number in range(257))), "257 fields"),
        (record(("name", "string"), ("name", "string")), "without a name of its own"),
        (record(("a-b", "string")), "without a name of its own"),
        (record(("start_at_us", {"type": "long", "logicalType": "timestamp-millis"})), "as timestamp-millis"),
        ({**record(), "fields": [1, 2]}, "without a name of its own"),
    ],
)
def test_a_schema_that_no_command_is_written_with_is_refused_by_name(source, told):
    with pytest.raises(SchemaMisfit, match=told):
        WriterSchema(source)


@pytest.mark.parametrize(
    ("source", "value", "told"),
    [
        (record(("input", "string")), {"input": "1"}, "name"),
        (record(("name", ["null", "string"])), {"name": None}, "not a valid record"),
        (record(("name", "long")), {"name": 1}, "not a valid record"),
    ],
)
def test_what_avro_cannot_resolve_is_refused_by_name(source, value, told):
    with pytest.raises(DecodeError, match=told):
        WriterSchema(source).decode(framed(1, source, value))


def test_bytes_after_the_record_and_too_few_of_them_are_refused():
    value = framed(1, START, dataclasses.asdict(a_strangers(full(StartWorkflow))))
    schema = WriterSchema(START)
    with pytest.raises(DecodeError, match="1 bytes after the end"):
        schema.decode(value + b"\0")
    with pytest.raises(DecodeError, match="not a valid record"):
        schema.decode(value[:-1])
    for short in (b"\0", b"\0\0\0\1"):
        with pytest.raises(DecodeError, match="too short for Confluent's framing"):
            schema_id(short)


@st.composite
def any_schema(draw):
    """Ours, tampered with."""
    source = copy.deepcopy(source_of(full(draw(st.sampled_from(CLIENT_COMMANDS)))))
    for _ in range(draw(st.integers(0, 3))):
        field = draw(st.sampled_from(source["fields"]))
        kinds = (
            st.sampled_from(("null", "bytes", "float", "string", "int", "perdure.command.StartWorkflow", BOMB))
            | st.lists(st.sampled_from(("null", "string", "long", "boolean")), max_size=4)
            | any_json()
        )
        field[draw(st.sampled_from(("type", "name", "default", "aliases")))] = draw(kinds)
    return source


@quick
@given(any_schema() | any_json(), st.binary(max_size=80), st.data())
def test_any_schema_and_any_bytes_give_a_command_or_a_named_error(source, noise, data):
    try:
        schema = WriterSchema(json.loads(json.dumps(source)))
    except SchemaMisfit as error:
        str(error).encode()
        return
    value = framed(1, START, dataclasses.asdict(a_strangers(full(StartWorkflow))))
    try:
        found = schema.decode(data.draw(st.just(b"\0\0\0\0\1" + noise) | mutated(value)))
    except DecodeError as error:
        str(error).encode(errors="strict")
        return
    assert type(found) in CLIENT_COMMANDS
