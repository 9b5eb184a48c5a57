"""Avro values as JSON; schemas under which a short message could cost without end."""

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from uuid import UUID

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.core.limits import AVRO_SCHEMA_BYTES_MAX, DECIMAL_DIGITS_MAX
from perdure.roles.subscriptions import Misfit, decimals, mapped
from perdure.roles.subscriptions.avro import AvroSchema, AvroWrong, SchemaUnfit
from tests.roles.subscriptions.messages import message, subscribed


def record(*fields, name="order"):
    return {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields]}


def written(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def decimal(precision, scale=0):
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


MOMENT = datetime(2026, 1, 31, 12, 0, 0, 5_000, tzinfo=UTC)
RULES = [
    ({"type": "long", "logicalType": "timestamp-millis"}, MOMENT, "2026-01-31T12:00:00.005000Z"),
    ({"type": "long", "logicalType": "timestamp-micros"}, MOMENT, "2026-01-31T12:00:00.005000Z"),
    ({"type": "long", "logicalType": "local-timestamp-millis"}, MOMENT.replace(tzinfo=None), "2026-01-31T12:00:00.005000"),
    ({"type": "int", "logicalType": "date"}, date(2026, 1, 31), "2026-01-31"),
    ({"type": "int", "logicalType": "time-millis"}, time(12, 0, 0), "12:00:00"),
    ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, Decimal("10.50"), "10.50"),
    ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 0}, Decimal(7_000), "7000"),
    ({"type": "string", "logicalType": "uuid"}, UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    ("bytes", b"\x00\xff", "AP8="),
    ({"type": "fixed", "name": "F", "size": 3}, b"abc", "YWJj"),
    (["null", "string"], None, None),
    (["null", "string"], "x", "x"),
    ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
    ({"type": "map", "values": ["null", "bytes"]}, {"a": b"1", "b": None}, {"a": "MQ==", "b": None}),
    ({"type": "array", "items": record(("n", "long"), name="line")}, [{"n": 1}], [{"n": 1}]),
    ("double", 1.5, 1.5),
    ("boolean", True, True),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "expected"), RULES)
def test_a_value_becomes_json_by_the_rule_of_its_type(kind, value, expected):
    schema = record(("id", "string"), ("x", kind))
    found = mapped(
        message(written(schema, {"id": "7", "x": value})), subscribed(format="avro", schema=schema, input="value.x")
    )
    assert found.command.input == ("" if expected is None else json.dumps(expected, separators=(",", ":")))


def test_single_object_encoding_is_told_from_a_bare_value_by_the_schemas_fingerprint():
    source = record(("id", "string"))
    schema, bare = AvroSchema(source), written(source, {"id": "7"})
    fingerprint = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(source), "CRC-64-AVRO")
    header = b"\xc3\x01" + bytes.fromhex(fingerprint)
    assert schema.of_message(bare) == schema.of_message(header + bare) == {"id": "7"}
    for wrong in (b"", bare[:-1], bare + b"\x00", header, b"\xc3\x01" + b"\x00" * 8 + bare):
        with pytest.raises(AvroWrong):
            schema.of_message(wrong)


def test_numbers_that_json_has_no_word_for_do_not_fit():
    schema = record(("id", "string"), ("x", "double"))
    with pytest.raises(Misfit, match="input gave what is no payload"):
        mapped(message(written(schema, {"id": "7", "x": float("nan")})), subscribed(format="avro", schema=schema))


def chain(levels, width):
    """Each type holds `width` of the one before; nothing in it takes a byte, or a single one."""
    inner = record(("n", "boolean"), name="T0") if width == 1 else record(name="T0")
    fields = [("t0", inner)]
    fields += [
        (f"t{n}", record(*((f"f{i}", f"T{n - 1}") for i in range(width)), name=f"T{n}")) for n in range(1, levels)
    ]
    return record(*fields, name="all")


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (record(("next", ["null", "order"])), "holds itself"),
        (record(("next", {"type": "array", "items": "shop.order"}), name="shop.order"), "holds itself"),
        (record(("inner", record(("outer", ["null", "order"]), name="inner"))), "holds itself"),
        ({"type": "array", "items": "null"}, "array of what takes no byte"),
        ({"type": "array", "items": record(name="empty")}, "array of what takes no byte"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, "array of what takes no byte"),
        (record(("n", "null")), "a field that takes no byte"),
        (chain(60, 2), "a field that takes no byte"),
        (chain(300, 1), "nested deeper than 128"),
        (json.loads('{"type":"array","items":' * 300 + '"int"' + "}" * 300), "nested deeper than 128"),
        ("nothing", "is no Avro schema"),
        (7, "is no Avro schema"),
        ({"type": "record", "name": "x"}, "is no Avro schema"),
        (decimal(DECIMAL_DIGITS_MAX + 1), "a decimal of precision 101: it may be 1 to 100"),
        (decimal(10**9, 399_000_000), "a decimal of precision 1000000000"),
        (decimal(0), "a decimal of precision 0"),
        (decimal(True), "a decimal of precision True"),
        (decimal("9"), "a decimal of precision 9"),
        ({"type": "bytes", "logicalType": "decimal"}, "a decimal of precision None"),
        (decimal(4, 5), "a decimal of scale 5: it may be 0 to its precision, 4"),
        (decimal(4, -1), "a decimal of scale -1"),
        (decimal(4, None), "a decimal of scale None"),
        (record(("x", ["null", {"type": "map", "values": decimal(101)}])), "a decimal of precision 101"),
        (decimal(101) | {"type": "fixed", "name": "F", "size": 99}, "a decimal of precision 101"),
        ({"__fastavro_parsed": True, "__named_schemas": {"order": record(("o", "order"))}, "type": "order"}, "is no Avro schema"),
        ({"type": "enum", "name": "x", "symbols": ["a"], "doc": "x" * AVRO_SCHEMA_BYTES_MAX}, "the limit is"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_a_schema_that_a_short_message_could_abuse_is_refused_by_name(schema, reason):
    with pytest.raises(SchemaUnfit, match=reason):
        AvroSchema(schema)


def as_bytes(raw):
    return written("bytes", raw)


@pytest.mark.parametrize("precision", [1, 2, 3, 9, 18, 38, 76, DECIMAL_DIGITS_MAX])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_decimal_has_every_digit_that_its_precision_has_room_for_and_no_more(precision, sign):
    schema = AvroSchema(decimal(precision, precision // 2))
    most = sign * (10**precision - 1)
    exact = Decimal(most).scaleb(-(precision // 2), Context(prec=200))
    room = most.bit_length() // 8 + 1
    for size in (room, room + 1, room + 100_000):  # signs in front of it change nothing
        assert schema.value(as_bytes(most.to_bytes(size, "big", signed=True)), 0) == format(exact, "f")
    with pytest.raises(AvroWrong, match=f"more digits than its precision, {precision}"):
        schema.value(as_bytes((most + sign).to_bytes(room + 1, "big", signed=True)), 0)


@pytest.mark.parametrize("raw", [b"", b"\0", b"\0" * 1_000])
def test_a_decimal_without_a_digit_is_nothing(raw):
    assert AvroSchema(decimal(9, 2)).value(as_bytes(raw), 0) == "0.00"


def test_a_fixed_decimal_may_have_more_bytes_than_its_precision_needs():
    schema = AvroSchema(decimal(9, 2) | {"type": "fixed", "name": "F", "size": 16})
    for number, text in ((-1, "-0.01"), (127, "1.27"), (128, "1.28"), (-128, "-1.28"), (-129, "-1.29")):
        assert schema.value(number.to_bytes(16, "big", signed=True), 0) == text


@pytest.mark.parametrize("first", [b"\x01", b"\x7f", b"\x80", b"\xfe"])
def test_a_decimal_costs_no_more_than_its_precision_is_worth(first, monkeypatch):
    """In square of their number, bytes of a message's size would hold the loop, and each session, for minutes."""
    converted = []

    class Counted(int):
        @classmethod
        def from_bytes(cls, raw, *order, **options):
            converted.append(len(raw))
            return int.from_bytes(raw, *order, **options)

    schema = AvroSchema(record(("amount", decimal(10, 2))))
    monkeypatch.setattr(decimals, "int", Counted, raising=False)
    assert schema.value(as_bytes(b"\x7f\xff"), 0) == {"amount": "327.67"}
    with pytest.raises(AvroWrong, match="a decimal of 4,000,000 bytes has more digits than its precision, 10"):
        schema.value(as_bytes(first + b"\x55" * 3_999_999), 0)
    assert max(converted) <= 5


def test_a_schema_cannot_name_the_decimals_that_are_read_here_by_themselves():
    schema = AvroSchema(decimal(10_000, 2) | {"logicalType": decimals.BOUNDED})
    assert schema.value(as_bytes(b"\x05"), 0) == "BQ=="


def test_types_that_are_used_twice_and_nothing_in_a_union_are_no_abuse():
    line = record(("n", "long"), name="line")
    schema = AvroSchema(
        record(
            ("one", line),
            ("other", "line"),
            ("many", {"type": "array", "items": "line"}),
            ("maybe", ["null", record(name="e")]),
        )
    )
    value = {"one": {"n": 1}, "other": {"n": 2}, "many": [{"n": 3}], "maybe": {}}
    assert schema.of_message(written(schema.source, value)) == value


TYPES = st.recursive(
    st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string",
                     {"type": "long", "logicalType": "timestamp-micros"}, {"type": "int", "logicalType": "date"},
                     {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
                     {"type": "string", "logicalType": "uuid"}, {"type": "int", "logicalType": "time-millis"}]),
    lambda inner: inner.map(lambda kind: {"type": "array", "items": kind}) | inner.map(lambda kind: {"type": "map", "values": kind})
    | inner.map(lambda kind: ["null", kind] if kind != "null" and not isinstance(kind, list) else kind),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(kind=TYPES, raw=st.binary(max_size=60))
def test_any_bytes_under_any_schema_give_a_value_or_a_named_error(kind, raw):
    try:
        schema = AvroSchema(kind)
    except SchemaUnfit:
        return
    try:
        schema.of_message(raw)
    except AvroWrong:
        pass
