import enum
import json
import subprocess
import sys
import typing
from collections import OrderedDict, namedtuple
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict
from uuid import UUID

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.core.errors import PayloadError, PayloadTooLarge
from perdure.core.limits import PAYLOAD_BYTES_MAX
from perdure.workflow.payloads import check_size, dumps, loads
from perdure.workflow.shapes import shape


class Color(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: float = 0.5


@dataclass
class Line:
    sku: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    id: UUID
    lines: list[Line]
    placed: datetime
    total: Decimal | None = None
    by_day: dict[date, list[Line]] = field(default_factory=dict)


@dataclass
class Tree:
    name: str
    children: "list[Tree]" = field(default_factory=list)


class Address(TypedDict):
    street: str
    since: NotRequired[date]


class Late(TypedDict):
    street: "str"
    since: "NotRequired[date]"


class Customer(pydantic.BaseModel):
    name: str
    born: date | None = None
    lines: list[Line] = []


OrderId = NewType("OrderId", str)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def back(value: Any, annotation: Any) -> Any:
    return loads(dumps(value), annotation)


@settings(deadline=None)
@given(JSON)
def test_plain_json_comes_back_as_it_went(value):
    assert back(value, None) == value


def test_none_is_no_payload_and_an_empty_object_is_one():
    assert dumps(None) == ""
    assert loads("", Order) is None
    assert loads("null", Order) is None
    assert dumps({}) == "{}"
    assert loads("{}") == {}
    assert loads("{}", dict) == {}
    assert loads("{}", dict[str, int]) == {}
    assert loads("{}", Any) == {}


def test_text_is_compact_and_keeps_its_characters():
    assert dumps({"a": [1, "ä", None, True]}) == '{"a":[1,"ä",null,true]}'


ORDER = Order(
    id=UUID(int=7),
    lines=[Line("a", 2), Line("b")],
    placed=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    total=Decimal("10.10"),
)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (ORDER, Order),
        (ORDER, Optional[Order]),  # noqa: UP045 - written as users may
        ([ORDER], list[Order]),
        ({"x": ORDER}, dict[str, Order]),
        ({"x": ORDER}, typing.Mapping[str, Order]),
        (Tree("root", [Tree("leaf")]), Tree),
        (Point(1, 2.0), Point),
        ([Point(1), Point(2)], tuple[Point, ...] | list[Point]),
        ((1, "a"), tuple[int, str]),
        ((1, 2, 3), tuple),
        ({"street": "s", "since": date(2026, 1, 1)}, Address),
        ({"street": "s"}, Address),
        ({"street": "s"}, Late),
        (Customer(name="n", born=date(2000, 1, 1), lines=[Line("a")]), Customer),
        ([Customer(name="n")], list[Customer]),
        (datetime(2026, 1, 1, 12), datetime),
        (date(2026, 1, 1), date),
        (time(1, 2, 3), time),
        (timedelta(days=3, microseconds=1), timedelta),
        (UUID(int=1), UUID),
        (Decimal("0.1"), Decimal),
        (Color.RED, Color),
        (Color.PAIR, Color),
        (Level.LOW, Level),
        ({1: "a"}, dict[int, str]),
        ({Level.LOW: "a"}, dict[Level, str]),
        (SimpleNamespace(a=1, b=[SimpleNamespace(c=2)]), SimpleNamespace),
        ("red", Literal["red", "blue"]),
        ("o-1", OrderId),
        (3, Annotated[int, ["unhashable"]]),
        (3.5, float),
        (True, bool),
        ("2026-01-01T00:00:00", datetime | str),
        ("free text", datetime | str),
        (5, int | float),
        (5, float | int),
        (5.5, float | int),
        (None, None),
    ],
)
def test_a_value_comes_back_by_its_annotation(value, annotation):
    found = back(value, annotation)
    expected = datetime.fromisoformat(value) if annotation == datetime | str and value[0] == "2" else value
    if isinstance(value, list) and value and isinstance(value[0], Point):
        found = list(found)
    assert found == expected
    assert type(found) is type(expected)


@settings(deadline=None)
@given(st.timedeltas())
def test_a_duration_keeps_its_microseconds_for_two_hundred_years(value):
    value = value % timedelta(days=365 * 200)
    assert back(value, timedelta) == value


def test_without_an_annotation_records_are_plain_json():
    assert back(Line("a"), None) == {"sku": "a", "count": 1}
    assert back(Point(1), None) == [1, 0.5]
    assert back(MappingProxyType({"a": 1}), None) == {"a": 1}
    assert back(OrderedDict(b=1, a=2), dict) == {"b": 1, "a": 2}


def test_a_dict_annotated_dict_stays_a_dict_even_if_a_record_would_fit():
    assert loads('{"sku":"a"}', dict) == {"sku": "a"}
    assert loads('{"sku":"a"}', dict | Line) == Line("a")


def test_a_union_takes_the_member_that_knows_all_the_keys():
    @dataclass
    class Card:
        number: str

    @dataclass
    class Transfer:
        number: str
        bank: str

    for union in (Card | Transfer, Transfer | Card):
        assert loads('{"number":"1"}', union) == Card("1")
        assert loads('{"number":"1","bank":"b"}', union) == Transfer("1", "b")


def test_a_union_means_the_same_whichever_way_round_was_seen_first():
    shape.__globals__["_shape"].cache_clear()
    first = loads('"2026-01-01"', str | date)
    shape.__globals__["_shape"].cache_clear()
    assert loads('"2026-01-01"', date | str) == first == date(2026, 1, 1)


def test_unknown_keys_pass_and_missing_fields_take_their_defaults():
    assert loads('{"sku":"a","colour":"blue"}', Line) == Line("a", 1)
    assert loads('{"street":"s","extra":1}', Address) == {"street": "s", "extra": 1}
    assert loads("[3]", Point) == Point(3, 0.5)
    assert loads('{"x":3}', Point) == Point(3, 0.5)


def test_an_untyped_named_tuple_is_rebuilt():
    Pair = namedtuple("Pair", ["a", "b"])  # noqa: PYI024 - the untyped kind is meant
    assert back(Pair(1, 2), Pair) == Pair(1, 2)


def test_an_annotation_that_means_nothing_to_json_leaves_it_as_it_is():
    class Service: ...

    @dataclass
    class Holder:
        service: "Service"
        unknown: "NoSuchName"  # noqa: F821
        line: Line

    assert loads('{"a":1}', Service) == {"a": 1}
    assert loads('{"a":1}', "Order") == {"a": 1}
    assert loads('{"a":1}', typing.TypeVar("T")) == {"a": 1}
    holder = loads('{"service":1,"unknown":2,"line":{"sku":"a"}}', Holder)
    assert holder == Holder(1, 2, Line("a"))


@pytest.mark.parametrize(
    ("text", "annotation", "told"),
    [
        ('"5"', int, "expected an integer, got a text"),
        ("5", str, "expected a text, got a number"),
        ("true", int, "expected an integer, got true or false"),
        ("[]", dict, "expected an object, got an array"),
        ('{"sku":5}', Line, "does not fit Line: sku: expected a text, got a number"),
        ('{"count":5}', Line, "sku: expected a field of Line, got nothing"),
        ('[{"sku":"a"},{"sku":"b","count":"x"}]', list[Line], "[1].count: expected an integer"),
        ('{"k":[{"count":1}]}', dict[str, list[Line]], "k[0].sku: expected a field"),
        ('{"name":"r","children":[{"name":"l","children":[5]}]}', Tree, "children[0].children[0]: expected"),
        ('{"name":"n","lines":[{"sku":5}]}', Customer, "lines[0].sku"),
        ('{"street":"s","since":"x"}', Address, "since: expected an ISO 8601 date"),
        ("{}", Address, "street: expected a field of Address"),
        ('"green"', Color, "expected a value of Color"),
        ('"green"', Literal["red"], "expected one of 'red'"),
        ('{"x":"1"}', dict[int, int], "x: expected an integer"),
        ('[1,"a",2]', tuple[int, str], "expected an array of 2"),
        ("[1]", Point | Line, "expected"),
        ("5", Line | None, "expected one of"),
        ('"x"', UUID, "expected a UUID"),
        ('"x"', Decimal, "expected a decimal"),
        ("{", dict, "this is no JSON"),
        ("NaN", float, "NaN is not a number that JSON has"),
    ],
)
def test_json_that_does_not_fit_is_refused_with_the_path_to_the_field(text, annotation, told):
    if text == "[1]":
        assert loads(text, annotation) == Point(1)
        return
    with pytest.raises(PayloadError) as caught:
        loads(text, annotation)
    assert told in str(caught.value)


def test_a_dataclass_that_refuses_its_values_is_told_with_its_own_words():
    @dataclass
    class Positive:
        n: int
        hint: InitVar[str] = ""

        def __post_init__(self, hint):
            if self.n < 0:
                raise ValueError("n is below zero")

    assert loads('{"n":1}', Positive).n == 1
    with pytest.raises(PayloadError, match="n is below zero"):
        loads('{"n":-1}', Positive)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [1, {"b": {1}}]}, "a[1].b: a set has no order"),
        (Line("a", {1}), "count: a set has no order"),
        ({"x": float("nan")}, "x: Out of range float"),
        ([float("inf")], "[0]: Out of range float"),
        ({"x": b"raw"}, "x: bytes are no text"),
        ({"x": "\ud800"}, "x: holds a lone surrogate"),
        ("\ud800", "the text: holds a lone surrogate"),
        ({(1, 2): 3}, "keys must be"),
        (object(), "a value of type object"),
        (len, "is code, not data"),
        (Line, "is code, not data"),
        pytest.param(10**5000, "Exceeds the limit", id="huge"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(value, told):
    with pytest.raises(PayloadError) as caught:
        dumps(value)
    assert told in str(caught.value)


def test_a_value_that_holds_itself_and_one_nested_too_deeply_are_refused():
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(PayloadError, match="nested too deeply"):
        dumps(loop)
    deep = "[" * 200_000
    with pytest.raises(PayloadError, match="nested too deeply"):
        loads(deep)
    with pytest.raises(PayloadError):
        loads('{"name":"a","children":[' * 400 + "]}" * 400, Tree)


def test_the_size_counts_encoded_bytes_up_to_the_limit():
    check_size("x" * PAYLOAD_BYTES_MAX, "the input")
    check_size("é" * (PAYLOAD_BYTES_MAX // 2), "the input")
    for text in ("x" * (PAYLOAD_BYTES_MAX + 1), "é" * (PAYLOAD_BYTES_MAX // 2 + 1), "🙂" * PAYLOAD_BYTES_MAX):
        with pytest.raises(PayloadTooLarge, match=r"the input has [\d,]+ bytes.*1,048,576.*reference"):
            check_size(text, "the input")


def test_the_module_loads_neither_pydantic_nor_fastapi():
    code = "import sys, perdure.workflow.payloads as p; print(sorted({'pydantic','fastapi'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout.replace("'", '"')) == []
