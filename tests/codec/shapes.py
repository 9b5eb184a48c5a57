"""Record types as their schemas describe them: strategies for any value, and one full and one least sample of each."""

from __future__ import annotations

import dataclasses
import types
import typing
from functools import cache
from typing import Any

from hypothesis import strategies as st

from perdure.codec.avro import record_types
from perdure.codec.schemas import load_schemas

__all__ = ["any_record", "any_value", "current_schema", "full", "least", "nested", "plain_type"]

WHOLE = {"int": 31, "long": 63}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def plain_type(node: Any) -> Any:
    """A field's Avro type without its logical one."""
    return node["type"] if isinstance(node, dict) and "logicalType" in node else node


def nested(annotation: Any) -> type | None:
    """The dataclass inside `X`, `X | None` or `list[X]`."""
    if dataclasses.is_dataclass(annotation):
        return typing.cast("type", annotation)
    if typing.get_origin(annotation) in (list, types.UnionType):
        return next((kind for kind in map(nested, typing.get_args(annotation)) if kind), None)
    return None


@cache
def current_schema(cls: type) -> dict[str, Any]:
    (found,) = [schema for schema in load_schemas() if schema.current and schema.name == cls.__name__]
    return found.source


def any_value(node: Any, annotation: Any) -> Any:
    """Any value that a field of this Avro type can hold."""
    node = plain_type(node)
    if isinstance(node, str) and node in WHOLE:
        return st.integers(-(1 << WHOLE[node]), (1 << WHOLE[node]) - 1)
    if node == "string":
        return TEXT
    if node == "boolean":
        return st.booleans()
    if node == "double":
        return st.floats(allow_nan=False)
    if isinstance(node, list):
        return st.none() | any_value(node[1], annotation)
    if node["type"] == "array":
        return st.lists(any_value(node["items"], typing.get_args(annotation)[0]), max_size=3)
    cls = nested(annotation)
    assert cls is not None
    return _fields(cls, node)


def _fields(cls: type, schema: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(cls)
    return st.builds(
        cls, **{field["name"]: any_value(field["type"], hints[field["name"]]) for field in schema["fields"]}
    )


def any_record(of: type | None = None) -> Any:
    kinds = st.sampled_from(record_types()) if of is None else st.just(of)
    return kinds.flatmap(lambda cls: _fields(cls, current_schema(cls)))


def full(cls: type) -> Any:
    """A record with nothing left at its default: every field differs from every other of its type."""
    hints = typing.get_type_hints(cls)
    values = {
        field.name: _sample(hints[field.name], field.name, place)
        for place, field in enumerate(dataclasses.fields(cls), 1)
    }
    return cls(**values)


def _sample(annotation: Any, name: str, place: int) -> Any:
    if annotation is int:
        return 1_700_000_000_000_000 + place if name.endswith("_us") else place * 7
    if annotation is str:
        return f"{name} é {place}"
    if annotation is bool:
        return place % 2 == 0
    if annotation is float:
        return place + 0.5
    if typing.get_origin(annotation) is list:
        return [_sample(typing.get_args(annotation)[0], name, place + more) for more in range(2)]
    kind = nested(annotation)
    assert kind is not None
    return full(kind)


def least(cls: type) -> Any:
    """A record with every default: what is required is empty or zero."""
    hints = typing.get_type_hints(cls)
    required = [
        field.name for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]  # fmt: skip
    empty = {int: 0, str: "", bool: False, float: 0.0}
    return cls(**{name: empty[hints[name]] for name in required})
