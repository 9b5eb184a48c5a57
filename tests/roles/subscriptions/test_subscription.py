"""What a subscription may say, and how each mistake is told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.limits import EXPRESSION_BYTES_MAX, SUBSCRIPTION_BYTES_MAX
from perdure.core.names import Topics
from perdure.roles.subscriptions import SubscriptionWrong, subscription_of
from perdure.roles.subscriptions.subscription import FIELDS, fields_of
from tests.roles.subscriptions.messages import APPROVALS, ORDERS

AVRO = {"type": "record", "name": "order", "fields": [{"name": "id", "type": "string"}]}


@pytest.mark.parametrize(
    "fields",
    [
        ORDERS,
        APPROVALS,
        {**ORDERS, "when": "value.amount > `10`", "begin": "beginning"},
        {**ORDERS, "format": "avro"},
        {**ORDERS, "format": "avro", "schema": AVRO},
        {**ORDERS, "format": "avro", "schema": json.dumps(AVRO)},
        {**ORDERS, "format": "avro", "schema": '"string"'},
    ],
)  # fmt: skip
def test_what_was_read_says_the_same_when_it_is_read_again(fields):
    found = subscription_of("s", fields)
    assert subscription_of("s", json.loads(json.dumps(fields_of(found)))) == found


def test_what_is_not_said_has_its_default():
    found = subscription_of("orders", ORDERS)
    assert (found.input.text, found.when, found.format, found.begin, found.schema) == (
        "value",
        None,
        "json",
        "now",
        None,
    )


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("a b", {}, "1 to 64 characters out of letters"),
        ("", {}, "1 to 64 characters out of letters"),
        ("s", {"topik": "x"}, "'topik' is nothing that a subscription has: there are topic, workflow"),
        ("s", {"topic": ""}, "topic is missing"),
        ("s", {"topic": "a b"}, "'a b' is no name of a topic"),
        ("s", {"topic": ".."}, "'..' is no name of a topic"),
        ("s", {"topic": "ns.instances"}, "is the engine's own"),
        ("s", {"topic": "ns.activities.gpu"}, "is the engine's own"),
        ("s", {"topic": 7}, "topic has to be text, not 7"),
        ("s", {"workflow": ""}, "give one of workflow and event"),
        ("s", {"event": "approved"}, "give one of workflow and event"),
        ("s", {"workflow": "w" * 257}, "1 to 256 bytes"),
        ("s", {"instance_id": ""}, "instance_id is missing"),
        ("s", {"instance_id": "value."}, "instance_id is no JMESPath"),
        ("s", {"input": "nosuch("}, "input is no JMESPath"),
        ("s", {"when": "(" * 2_000}, "when "),
        ("s", {"when": "a" * (EXPRESSION_BYTES_MAX + 1)}, "when is longer than 4,096 bytes"),
        ("s", {"when": "\ud800"}, "surrogates not allowed"),
        ("s", {"format": "xml"}, "format 'xml' is not one of json, avro"),
        ("s", {"begin": "yesterday"}, "begin 'yesterday' is not one of now, beginning"),
        ("s", {"schema": AVRO}, 'a schema goes with format = "avro"'),
        ("s", {"format": "avro", "schema": "{"}, "schema is no JSON"),
        ("s", {"format": "avro", "schema": {"type": "nothing"}}, "this is no Avro schema"),
        ("s", {"format": "avro", "schema": {"type": "enum", "name": "e", "symbols": ["a"], "doc": "x" * SUBSCRIPTION_BYTES_MAX}},
         "the limit is 65,536"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_the_name_and_what_to_write(name, changes, told):
    with pytest.raises(SubscriptionWrong) as raised:
        subscription_of(name, {**ORDERS, **changes}, Topics("ns"))
    assert f"subscription {name[:80]!r}" in str(raised.value)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_only_the_engines_own_topics_are_refused_of_a_namespace():
    for topic in ("ns.orders", "other.instances", "instances"):
        subscription_of("s", {**ORDERS, "topic": topic}, Topics("ns"))


ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.lists(st.text(max_size=3))
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3))
)


@given(
    name=st.text(max_size=10),
    fields=st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), ANYTHING, max_size=9),
)
def test_any_table_is_a_subscription_or_is_told_why_not(name, fields):
    try:
        found = subscription_of(name, {**ORDERS, **fields} if fields else fields)
    except SubscriptionWrong:
        return
    assert subscription_of(name, fields_of(found)) == found
