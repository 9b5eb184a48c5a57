"""From plain JSON values to what an annotation says: one builder per annotation, made once.

Law: what is built depends on the value and the annotation alone, for replay must build the same again: never
on the order in which annotations were first seen, nor on a library's version. So nothing is coerced ("5" is
no int), and a union takes the most specific member that fits, not the first one written: `typing` holds `int
| str` and `str | int` for equal and hands out whichever it saw first. (pydantic's TypeAdapter was not taken
for this: it coerces, it refuses typing.TypedDict under Python 3.11, and one field of an unknown type makes it
refuse the whole annotation.) An annotation that is not understood leaves the JSON as it is.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID

__all__ = ["Build", "Misfit", "hints_of", "resolved", "shape"]

Build = Callable[[Any], Any]

_JSON_NAMES = {dict: "an object", list: "an array", str: "a text", bool: "true or false", type(None): "null"}
_SEQUENCES = (list, Sequence, MutableSequence, Collection, Iterable)
_MAPPINGS = (dict, Mapping, MutableMapping)
_WRAPPERS = ("Annotated", "Required", "NotRequired", "ReadOnly", "Final", "ClassVar")


class Misfit(Exception):
    """A value that does not fit. The path to it grows as the exception leaves the containers around it."""

    def __init__(self, expected: str, value: Any) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = _JSON_NAMES.get(type(value), "a number")
        self.path = ""

    def within(self, step: str) -> Misfit:
        joined = step + (self.path if self.path.startswith("[") or not self.path else "." + self.path)
        self.path = joined
        return self

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}expected {self.expected}, got {self.found}"


def shape(annotation: Any) -> Build:
    """The builder for an annotation. It raises Misfit for a value that does not fit."""
    try:
        return _shape(annotation)
    except TypeError:  # metadata of Annotated may be unhashable: such a one is made anew each time
        return _shape.__wrapped__(annotation)


@functools.lru_cache(maxsize=1024)
def _shape(annotation: Any) -> Build:
    from perdure.workflow.record_shapes import record_shape  # noqa: PLC0415 - the two call each other

    annotation = _bare(annotation)
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return _union(arguments)
    if origin is typing.Literal:
        return _literal(arguments)
    kind = origin or annotation
    if kind in (tuple, typing.Tuple):  # noqa: UP006
        return _tuple(arguments)
    if kind in _SEQUENCES and arguments:
        return _array(shape(arguments[0]), list)
    if isinstance(kind, type) and issubclass(kind, AbstractSet) and kind.__module__ in ("builtins", "collections.abc"):
        return _array(shape(arguments[0]) if arguments else _as_it_is, frozenset if kind is frozenset else set)
    if kind in _MAPPINGS and len(arguments) == 2:
        return _mapping(shape(arguments[0]), shape(arguments[1]))
    return record_shape(kind) or _scalar(kind)


def _bare(annotation: Any) -> Any:
    """Without Annotated, Required, NewType and `type` aliases around it."""
    while True:
        if hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
        elif getattr(typing.get_origin(annotation), "_name", "") in _WRAPPERS:
            annotation = typing.get_args(annotation)[0]
        else:
            return annotation


def _as_it_is(value: Any) -> Any:
    return value


def _array(item: Build, made: Callable[[list[Any]], Any]) -> Build:
    def build(value: Any) -> Any:
        if type(value) is not list:
            raise Misfit("an array", value)
        built = _items(value, [item] * len(value))
        return built if made is list else made(built)

    return build


def _items(values: list[Any], builds: list[Build]) -> list[Any]:
    built: list[Any] = []
    try:
        for build, value in zip(builds, values, strict=True):
            built.append(build(value))
    except Misfit as misfit:
        raise misfit.within(f"[{len(built)}]") from None
    return built


def _tuple(arguments: tuple[Any, ...]) -> Build:
    if not arguments or arguments[-1] is ...:
        return _array(shape(arguments[0]) if arguments else _as_it_is, tuple)
    items = [shape(argument) for argument in arguments]

    def build(value: Any) -> Any:
        if type(value) is not list:
            raise Misfit("an array", value)
        if len(value) != len(items):
            raise Misfit(f"an array of {len(items)}", value)
        return tuple(_items(value, items))

    return build


def _mapping(key: Build, item: Build) -> Build:
    def build(value: Any) -> Any:
        if type(value) is not dict:
            raise Misfit("an object", value)
        built = {}
        name = ""
        try:
            for name, held in value.items():
                built[_key(key, name)] = item(held)
        except Misfit as misfit:
            raise misfit.within(name) from None
        return built

    return build


def _key(build: Build, name: str) -> Any:
    """JSON's keys are texts: one that does not fit as a text is read as the JSON that it was written from."""
    from perdure.workflow.payloads import parsed  # noqa: PLC0415 - the two call each other

    try:
        return build(name)
    except Misfit:
        try:
            return build(parsed(name))
        except TypeError:
            raise Misfit("another key", name) from None


def _literal(members: tuple[Any, ...]) -> Build:
    def build(value: Any) -> Any:
        for member in members:
            if member == value and type(member) is type(value):
                return member
            if isinstance(member, Enum) and member.value == value:
                return member
        raise Misfit("one of " + ", ".join(repr(member) for member in members), value)

    return build


def _union(members: tuple[Any, ...]) -> Build:
    from perdure.workflow.record_shapes import keys_of  # noqa: PLC0415 - the two call each other

    ordered = sorted(members, key=lambda member: (_generality(_bare(member)), repr(member)))
    options = [(shape(member), keys_of(_bare(member))) for member in ordered]
    records = [option for option in options if option[1] is not None]

    def build(value: Any) -> Any:
        tried = options
        if type(value) is dict and len(records) > 1:  # first those that know all its keys
            tried = [o for o in records if o[1] is not None and o[1].issuperset(value)] + options
        found: Misfit | None = None
        for option, _ in tried:
            try:
                return option(value)
            except Misfit as misfit:
                found = max(found or misfit, misfit, key=lambda m: len(m.path))  # the nearest miss tells the most
        if found is not None and found.path:
            raise found
        raise Misfit("one of " + ", ".join(_named(member) for member in ordered), value)

    return build


def _named(annotation: Any) -> str:
    return "null" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def _generality(annotation: Any) -> int:
    """Of union members that both fit, the lower wins."""
    if annotation in (bool, int, str, list, dict, type(None)):
        return 3
    if annotation is float:  # takes an int too
        return 4
    if annotation in (Any, object) or shape(annotation) is _as_it_is:
        return 5
    return 2 if annotation in (Decimal, timedelta) else 1


def _scalar(kind: Any) -> Build:
    if not isinstance(kind, type) or kind is object:
        return _as_it_is
    if kind in (bool, int, str, list, dict, type(None)):
        return functools.partial(_exactly, kind)
    if kind in _READERS:
        return _READERS[kind]
    if issubclass(kind, Enum):
        return functools.partial(_member, kind)
    if issubclass(kind, str | int | float):
        return functools.partial(_subclass, kind)
    return _as_it_is


def _exactly(kind: type, value: Any) -> Any:
    if type(value) is kind:
        return value
    raise Misfit("an integer" if kind is int else _JSON_NAMES[kind], value)


def _subclass(kind: type, value: Any) -> Any:
    base = next(plain for plain in (str, int, float) if issubclass(kind, plain))
    return _made(kind, _real(value) if base is float else _exactly(base, value), kind.__name__)


def _member(kind: type[Enum], value: Any) -> Any:
    from perdure.workflow.payloads import dumps  # noqa: PLC0415 - the two call each other

    try:
        return kind(value)
    except (ValueError, TypeError):
        text = dumps(value)
        for member in kind:
            if dumps(member.value) == text:  # a value that JSON writes otherwise than Python, such as a tuple
                return member
    raise Misfit(f"a value of {kind.__name__}", value)


def _real(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(_made(float, value, "a number"))
    raise Misfit("a number", value)


def _made(kind: Callable[[Any], Any], value: Any, expected: str) -> Any:
    try:
        return kind(value)
    except (ValueError, TypeError, OverflowError, InvalidOperation):
        raise Misfit(expected, value) from None


def _read(kind: Callable[[str], Any], expected: str) -> Build:
    def build(value: Any) -> Any:
        if type(value) is not str:
            raise Misfit(expected, value)
        return _made(kind, value, expected)

    return build


def _decimal(value: Any) -> Decimal:
    if type(value) in (int, float):
        value = str(value)  # 9.99 is meant as it is written
    return typing.cast("Decimal", _read(Decimal, "a decimal number")(value))


def _duration(value: Any) -> timedelta:
    return typing.cast("timedelta", _made(lambda seconds: timedelta(seconds=seconds), _real(value), "seconds"))


_READERS: dict[type, Build] = {
    float: _real,
    datetime: _read(datetime.fromisoformat, "an ISO 8601 date and time"),
    date: _read(date.fromisoformat, "an ISO 8601 date"),
    time: _read(time.fromisoformat, "an ISO 8601 time"),
    timedelta: _duration,
    UUID: _read(UUID, "a UUID"),
    Decimal: _decimal,
}


def hints_of(kind: type) -> dict[str, Any]:
    """The resolved annotations of a class, base classes first; one that cannot be resolved is Any."""
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001 - evaluating a stranger's annotation may raise anything
        hints: dict[str, Any] = {}
        for base in reversed(kind.__mro__):
            names = vars(sys.modules.get(base.__module__, types.SimpleNamespace()))
            for name, annotation in inspect.get_annotations(base).items():
                found = resolved(annotation, names, {kind.__name__: kind})
                hints[name] = Any if found is None else found
        return hints


def resolved(annotation: Any, names: Mapping[str, Any], local: Mapping[str, Any]) -> Any:
    """One annotation with its forward references resolved; None where they cannot be."""
    alone = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(alone, dict(names), dict(local), include_extras=True)["it"]
    except Exception:  # noqa: BLE001 - evaluating a stranger's annotation may raise anything
        return None
