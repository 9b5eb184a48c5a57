"""Commands in JSON: whatever a command can hold arrives, and whatever does not fit is refused by the field's name."""

import json
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.codec.avro import DecodeError, encode
from perdure.codec.json_commands import PAYLOAD_FIELDS, command_from_json
from perdure.codec.schemas import load_schemas
from perdure.core.commands import ClientCommand, RaiseEvent, StartWorkflow, TerminateWorkflow
from perdure.core.limits import PAYLOAD_DEPTH_MAX
from tests.codec.framing import a_strangers, as_json
from tests.codec.shapes import any_value, current_schema
from tests.hostile.strangers import any_payload, mutated

CLIENT_COMMANDS = typing.get_args(ClientCommand)
quick = settings(max_examples=300, deadline=None, database=None, print_blob=True)

NUMBERS = st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def any_client_command(draw):
    """And the values of its payloads."""
    cls = draw(st.sampled_from(CLIENT_COMMANDS))
    hints, fields, payloads = typing.get_type_hints(cls), {}, {}
    for field in current_schema(cls)["fields"]:
        name = field["name"]
        if name in PAYLOAD_FIELDS:
            payloads[name] = draw(VALUES)
            fields[name] = "" if payloads[name] is None else json.dumps(payloads[name])
        else:
            fields[name] = draw(any_value(field["type"], hints[name]))
    return a_strangers(cls(**fields)), payloads


@quick
@given(any_client_command(), st.booleans())
def test_what_a_command_holds_arrives_whole(made, sparse):
    command, payloads = made
    found = command_from_json(as_json(command, sparse=sparse))
    for name, value in payloads.items():
        text = getattr(found, name)
        assert (text == "") if value is None else (json.loads(text) == value)
        setattr(found, name, getattr(command, name))
    assert found == command


def test_payloads_are_the_fields_that_the_schemas_call_json_text():
    told = {
        field["name"]
        for schema in load_schemas()
        if schema.current and schema.name in {cls.__name__ for cls in CLIENT_COMMANDS}
        for field in schema.source["fields"]
        if "JSON text" in field.get("doc", "")
    }
    assert told == PAYLOAD_FIELDS


def test_what_is_absent_takes_the_schemas_default():
    assert command_from_json(b'{"command": "StartWorkflow", "name": "order"}') == StartWorkflow("order")
    assert command_from_json(b'{"command": "TerminateWorkflow"}') == TerminateWorkflow()


def test_null_is_no_payload_and_everything_else_is_one():
    for given_, text in (
        ("null", ""),
        ("0", "0"),
        ('""', '""'),
        ("false", "false"),
        ("[]", "[]"),
        ('{"a":1}', '{"a":1}'),
    ):
        assert command_from_json(f'{{"command":"RaiseEvent","name":"e","data":{given_}}}'.encode()) == RaiseEvent(
            "e", text
        )


DEEP = "[" * (PAYLOAD_DEPTH_MAX + 1) + "]" * (PAYLOAD_DEPTH_MAX + 1)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"", "no JSON"),
        (b"hello", "no JSON"),
        (b"\xff{}", "UTF-8"),
        (b"[]", "one object"),
        (b'"StartWorkflow"', "one object"),
        (b"{}", "'command' is one of .*, not null"),
        (b'{"command": "CompleteActivity"}', "'command' is one of .*, not \"CompleteActivity\""),
        (b'{"command": ["x"]}', "'command' is one of .*, not a list"),
        (b'{"command": "StartWorkflow"}', "StartWorkflow lacks name"),
        (b'{"command": "StartWorkflow", "name": "x", "inptu": 1}', 'no field "inptu"; it has name, input, '),
        (b'{"command": "StartWorkflow", "name": 1}', "'name' is text, not 1"),
        (b'{"command": "StartWorkflow", "name": null}', "'name' is text, not null"),
        (b'{"command": "StartWorkflow", "name": {"a": 1}}', "'name' is text, not an object"),
        (b'{"command": "StartWorkflow", "name": "x", "minted": 1}', "'minted' is true or false, not 1"),
        (b'{"command": "StartWorkflow", "name": "x", "start_at_us": 1.0}', "'start_at_us' is a whole number, not 1.0"),
        (b'{"command": "StartWorkflow", "name": "x", "start_at_us": true}', "'start_at_us' is a whole number, not true"),
        (b'{"command": "StartWorkflow", "name": "x", "start_at_us": "1"}', "'start_at_us' is a whole number, not \"1\""),
        (b'{"command": "StartWorkflow", "name": "x", "start_at_us": 9223372036854775808}', "'start_at_us' is out of range"),
        (b'{"command": "StartWorkflow", "name": "x", "parent_task_id": 2147483648}', "'parent_task_id' is out of range"),
        (b'{"command": "StartWorkflow", "name": "x", "name": "y"}', '"name" is given twice'),
        (b'{"command": "StartWorkflow", "name": "x", "input": {"a": 1, "a": 2}}', '"a" is given twice'),
        (b'{"command": "StartWorkflow", "name": "x", "input": NaN}', "NaN is not a number"),
        (b'{"command": "StartWorkflow", "name": "x", "input": [-Infinity]}', "-Infinity is not a number"),
        (b'{"command": "StartWorkflow", "name": "x", "input": 1e400}', "1e400 is no number that 64 bits hold"),
        (b'{"command": "StartWorkflow", "name": "x", "input": ' + b"9" * 5_000 + b"}", "no JSON"),
        (b'{"command": "StartWorkflow", "name": "\\ud800"}', "'name' holds a lone surrogate"),
        (b'{"command": "StartWorkflow", "name": "x", "input": {"\\ud800": 1}}', "'input' holds a lone surrogate"),
        (b'{"command": "StartWorkflow", "name": "x", "input": ' + DEEP.encode() + b"}", "nested too deeply"),
        (b'{"command": "StartWorkflow", "name": "x", "input": ' + b"[" * 100_000 + b"}", "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"command": "StartWorkflow", "name": "x"} {}', "no JSON"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(value, told):
    with pytest.raises(DecodeError, match=told) as caught:
        command_from_json(value)
    assert len(str(caught.value)) < 1_000
    str(caught.value).encode()


def test_a_payload_may_be_as_deep_as_any_other():
    text = DEEP[1:-1]
    assert command_from_json(f'{{"command":"RaiseEvent","name":"e","data":{text}}}'.encode()).data == text


@quick
@given(st.one_of(any_payload(), any_client_command().map(lambda made: as_json(made[0])).flatmap(mutated)))
def test_any_bytes_give_a_command_that_can_be_written_or_a_named_error(value):
    try:
        found = command_from_json(value)
    except DecodeError as error:
        str(error).encode()
        return
    assert type(found) in CLIENT_COMMANDS
    encode(found)
