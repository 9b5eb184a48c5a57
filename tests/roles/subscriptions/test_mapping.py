"""A message to a command: each part of the envelope, each misfit by name, and nothing else whatever the bytes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.codec.avro import decode
from perdure.codec.encoder import Encoder
from perdure.core.commands import RaiseEvent, StartWorkflow
from perdure.core.limits import COMMAND_ID_BYTES_MAX, PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX
from perdure.core.names import partition_of
from perdure.ports.log import Record
from perdure.roles.subscriptions import Mapped, Misfit, dead_letter_of, mapped
from perdure.roles.subscriptions.mapping import envelope_of, schema_id_of
from tests.roles.subscriptions.messages import APPROVALS, message, subscribed


def test_a_message_becomes_a_start_whose_id_can_be_found_again_from_where_it_stood():
    found = mapped(message({"id": "7", "amount": 3}, partition=2, offset=41), subscribed())
    assert found.instance_id == "order-7"
    assert found.command == StartWorkflow(
        "order", '{"id":"7","amount":3}', command_id="sub/orders/shop.orders/2/41", requested_by="subscription orders",
    )  # fmt: skip


def test_a_message_becomes_an_event():
    found = mapped(
        message({"by": "ops"}, key=b"order-7", topic="shop.approvals", offset=3),
        subscribed("yes", workflow="", **APPROVALS),
    )
    assert found == Mapped(
        "order-7",
        RaiseEvent("approved", '"ops"', command_id="sub/yes/shop.approvals/0/3", requested_by="subscription yes"),
    )


def test_the_command_is_written_in_the_current_schema_to_the_partition_of_its_instance():
    outgoing = mapped(message({"id": "7"}), subscribed()).outgoing("ns.instances", 5, Encoder())
    assert (outgoing.topic, outgoing.partition) == ("ns.instances", partition_of("order-7", 5))
    assert outgoing.key == b"order-7"
    assert decode(outgoing.value).name == "order"


def test_a_namespace_that_is_still_written_as_an_earlier_release_did_gets_the_start_too():
    given = mapped(message({"id": "7"}), subscribed())
    for version in (1, 2):
        assert decode(given.outgoing("ns.instances", 5, Encoder(version)).value) == given.command


def test_an_expression_sees_key_headers_place_and_time():
    given = message({"a": 1}, key=b"k7", headers=[("who", b"ops"), ("raw", b"\xff")], partition=3, offset=9)
    assert envelope_of(given, {"a": 1}) == {
        "key": "k7", "value": {"a": 1}, "headers": {"who": "ops", "raw": None}, "topic": "shop.orders", "partition": 3,
        "offset": 9, "timestamp": "2026-01-31T12:00:00.000Z",
    }  # fmt: skip
    assert envelope_of(message({}, key=b"\xff"), {})["key"] is None
    assert envelope_of(message({}, key=b""), {})["key"] is None
    assert envelope_of(message({}, timestamp_ms=-1), {})["timestamp"] is None
    assert envelope_of(message({}, timestamp_ms=1 << 62), {})["timestamp"] is None


@pytest.mark.parametrize(
    ("when", "value", "taken"),
    [
        ("value.amount > `100`", {"id": "a", "amount": 101}, True),
        ("value.amount > `100`", {"id": "a", "amount": 7}, False),
        ("value.amount > `100`", {"id": "a"}, False),
        ("headers.kind == 'order'", {"id": "a"}, True),
        ("value", {"id": "a"}, None),
        ("length(value.id)", {"id": "a"}, None),
    ],
)
def test_when_lets_through_what_is_true_and_passes_over_what_is_false_or_null(when, value, taken):
    given = message(value, headers=[("kind", b"order")])
    if taken is None:
        with pytest.raises(Misfit, match=r"when gave .*, not true or false"):
            mapped(given, subscribed(when=when))
    else:
        assert (mapped(given, subscribed(when=when)) is not None) is taken


@pytest.mark.parametrize(
    ("value", "fields", "expression", "reason"),
    [
        (b"no json", {}, "value", "is no JSON"),
        (b"\xff", {}, "value", "is no JSON: byte 0 is no UTF-8"),
        (b"NaN", {}, "value", "is no JSON"),
        (b"[" * 500 + b"]" * 500, {}, "value", "nested too deeply"),
        (b" " * (RECORD_BYTES_MAX + 1), {}, "value", "the limit is"),
        ({"id": 7}, {"instance_id": "value.id"}, "instance_id", "gave 7, not text"),
        ({}, {"instance_id": "value.id"}, "instance_id", "gave null, not text"),
        ({"id": "a b"}, {"instance_id": "value.id"}, "instance_id", 'gave "a b": an instance id has 1 to 64'),
        ({"id": "x" * 65}, {"instance_id": "value.id"}, "instance_id", "an instance id has 1 to 64"),
        ({"id": None}, {}, "instance_id", "cannot be evaluated"),
        ({"id": "a", "n": "x"}, {"input": "sum(value.n)"}, "input", "cannot be evaluated"),
        ({"id": "a"}, {"input": "to_number('1e999')"}, "input", "gave what is no payload"),
        ({"id": "a"}, {"input": "&value"}, "input", "gave what is no payload"),
        ({"id": "a", "x": "x" * PAYLOAD_BYTES_MAX}, {}, "input", "gave too much"),
    ],
)  # fmt: skip
def test_what_does_not_fit_names_the_expression_and_what_it_gave(value, fields, expression, reason):
    with pytest.raises(Misfit) as raised:
        mapped(message(value), subscribed(**fields))
    assert raised.value.expression == expression
    assert str(raised.value).startswith(f"{expression} ")
    assert reason in str(raised.value)
    assert len(str(raised.value)) < 1_000


def test_a_message_without_a_value_is_null_and_an_input_of_null_is_none():
    found = mapped(message(b"", key=b"a"), subscribed(instance_id="key"))
    assert (found.instance_id, found.command.input) == ("a", "")


def test_the_trace_of_a_message_goes_on_in_its_command():
    trace = [
        ("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),
        ("other", b"x"),
        ("tracestate", b"s" * 600),
    ]
    assert mapped(message({"id": "a"}, headers=trace), subscribed()).headers == (trace[0],)


def test_a_command_id_that_would_be_too_long_is_hashed_and_still_its_own():
    ids = set()
    for offset in range(3):
        given = message({"id": "a"}, topic="t" * 249, offset=offset)
        ids.add(mapped(given, subscribed("n" * 64, topic="t" * 249)).command.command_id)
    assert len(ids) == 3
    assert all(each.startswith("sub/") and len(each) <= COMMAND_ID_BYTES_MAX for each in ids)


def test_a_dead_letter_holds_the_message_and_says_which_expression_of_which_subscription():
    given = message(b"{", headers=[("a", b"b")], partition=4, offset=9)
    letter = dead_letter_of(given, "orders", "value is no JSON", "ns.dead-letters", 3)
    assert (letter.key, letter.value, letter.partition) == (b"k", b"{", 1)
    assert dict(letter.headers) == {
        "a": b"b", "perdure-reason": b"value is no JSON", "perdure-origin": b"shop.orders/4/9",
        "perdure-subscription": b"orders",
    }  # fmt: skip
    again = Record("shop.orders", 4, 9, letter.key, b'{"id": "a"}', letter.headers)
    assert mapped(again, subscribed()).command.command_id == "sub/orders/shop.orders/4/9"


def test_a_registry_is_asked_only_for_avro_without_a_schema_of_its_own():
    confluent = message(b"\x00\x00\x00\x01\x02rest")
    assert schema_id_of(confluent, subscribed()) is None
    assert schema_id_of(confluent, subscribed(format="avro", schema='"string"')) is None
    assert schema_id_of(confluent, subscribed(format="avro")) == 258
    assert schema_id_of(message(b""), subscribed(format="avro")) is None
    with pytest.raises(Misfit, match="begins with 7b7d, not with 00"):
        schema_id_of(message({}), subscribed(format="avro"))
    with pytest.raises(Misfit, match="PERDURE_SCHEMA_REGISTRY"):
        mapped(confluent, subscribed(format="avro"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "amount", "a"]), inner, max_size=3)
    ),
)
EXPRESSIONS = st.sampled_from([
    "value.id", "value", "key", "headers.a", "join('-', value.id)", "sum(value)", "value[*].id", "to_string(value)",
    "sort_by(value, &id)", "max_by(value, &amount)", "value[?amount > `1`]", "length(value)", "to_number(value)",
    "map(&id, value)", "merge(value, value)", "keys(value)", "value || key", "!value", "&value", "offset", "timestamp",
    "starts_with(value, 'a')", "avg(value)", "reverse(value)", "values(value)", "value[::2]", "not_null(key, value)",
])  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    value=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()),
    key=st.binary(max_size=8), headers=st.lists(st.tuples(st.sampled_from(["a", "traceparent"]), st.binary(max_size=8)), max_size=3),
    timestamp=st.integers(-(1 << 63), 1 << 63), instance_id=EXPRESSIONS, given_input=EXPRESSIONS, when=st.just("") | EXPRESSIONS,
    form=st.sampled_from(["json", "avro", "registry"]),
)  # fmt: skip
def test_any_message_gives_a_command_nothing_or_a_named_misfit(
    value, key, headers, timestamp, instance_id, given_input, when, form
):
    fields = {"instance_id": instance_id, "input": given_input, "when": when}
    if form != "json":
        fields["format"] = "avro"
    if form == "avro":
        fields["schema"] = json.dumps(
            {"type": "array", "items": ["null", "string", "double", {"type": "map", "values": "bytes"}]}
        )
    try:
        found = mapped(message(value, key=key, headers=headers, timestamp_ms=timestamp), subscribed(**fields))
    except Misfit as misfit:
        assert misfit.expression in {"value", "when", "instance_id", "input"}
        return
    if found is not None:
        assert decode(found.outgoing("t", 3, Encoder()).value) == found.command
