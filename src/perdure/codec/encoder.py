"""Dataclass to bytes, at the write version that a namespace is at.

Law: an older version is written by its own schema, and says all that the record says: a field that the older schema
lacks must hold its default, else the record is refused by name. Nothing is left out in silence.

An encoder is a value that whoever writes is given; the process raises it when the namespace's version is raised. There
is none for the whole interpreter, because processes of several versions may live in one (the simulation, tests).
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

import fastavro

from perdure.codec.record_types import nested_fields, record_types
from perdure.codec.schemas import Schema
from perdure.codec.versions import OLDEST, current_schemas, newest, schemas_of
from perdure.core.errors import PerdureError

__all__ = ["Encoder", "HeldBack"]

ToDict = Callable[[Any], dict[str, Any]]


class HeldBack(PerdureError, ValueError):
    """The namespace's write version cannot say this yet; the text tells what to do."""


class Encoder:
    """`encode(record)` is the message for one of `record_types()`. Without a version: the newest, held back by nobody."""

    __slots__ = ("_writers", "version")

    def __init__(self, version: int | None = None) -> None:
        self.version = newest() if version is None else version
        self._writers = _writers(self.version)

    def __call__(self, record: Any) -> bytes:
        """Raises HeldBack."""
        header, schema, to_dict = self._writers[type(record)]
        out = io.BytesIO()
        out.write(header)
        fastavro.schemaless_writer(out, schema, to_dict(record))
        return out.getvalue()

    def again(self, record: Any) -> bytes:
        """What was read, and is written to another place. If the version held cannot say it, who wrote it knew that the
        namespace's had been raised, which we have yet to hear.
        """
        try:
            return self(record)
        except HeldBack:
            return Encoder()(record)

    def raise_to(self, version: int) -> bool:
        """From the next record on. Whether that is news; a lower one is none: a namespace never goes back.

        Raises SchemaError for a version that this release does not know.
        """
        if version <= self.version:
            return False
        self._writers, self.version = _writers(version), version
        return True


@cache
def _writers(version: int) -> Mapping[type, tuple[bytes, Any, ToDict]]:
    written, current = schemas_of(version), current_schemas()
    found = {}
    for cls in record_types():
        name = cls.__name__
        if name not in written:
            found[cls] = (b"", None, _refused(name, version))
        elif written[name].current:
            found[cls] = (written[name].header, written[name].parsed, _to_dict(cls))
        else:
            to_dict = _held_back(name, _to_dict(cls), current[name], written[name], version)
            found[cls] = (written[name].header, written[name].parsed, to_dict)
    return found


def _to_dict(cls: type) -> ToDict:
    names = tuple(field.name for field in dataclasses.fields(cls))
    values = attrgetter(*names) if len(names) > 1 else (lambda record: (getattr(record, names[0]),))
    inner = {name: _to_dict(kind) for name, kind in nested_fields(cls).items()}

    def flat(record: Any) -> dict[str, Any]:
        return dict(zip(names, values(record), strict=False))

    def deep(record: Any) -> dict[str, Any]:
        fields = flat(record)
        for name, convert in inner.items():
            value = fields[name]
            if isinstance(value, list):
                fields[name] = [convert(item) for item in value]
            elif value is not None:
                fields[name] = convert(value)
        return fields

    return deep if inner else flat


def _held_back(name: str, to_dict: ToDict, current: Schema, written: Schema, version: int) -> ToDict:
    lacks = _lacks(current.source, written.source)

    def checked(record: Any) -> dict[str, Any]:
        fields = to_dict(record)
        for path in _unsaid(fields, lacks):
            since = next(each for each in range(OLDEST, newest() + 1) if _has(schemas_of(each).get(name), path))
            raise HeldBack(_advice(f"{path} of {name}", version, since))
        return fields

    return checked


def _refused(name: str, version: int) -> ToDict:
    def refuse(record: Any) -> dict[str, Any]:
        del record
        since = next(each for each in range(OLDEST, newest() + 1) if name in schemas_of(each))
        raise HeldBack(_advice(name, version, since))

    return refuse


def _advice(what: str, version: int, since: int) -> str:
    return (
        f"{what} cannot be written to this namespace yet: its write version is {version}, and this came with {since}. "
        "Once all services and clients of the namespace run a release that reads it, `perdure upgrade` allows it"
    )


@dataclasses.dataclass(slots=True, frozen=True)
class _Lacks:
    """What a written schema has no place for: fields with their defaults, and what records in other fields lack."""

    fields: tuple[tuple[str, Any], ...]
    within: tuple[tuple[str, _Lacks], ...]


def _lacks(current: Any, written: Any) -> _Lacks:
    places = {field["name"]: field["type"] for field in written["fields"]}
    fields, within = [], []
    for field in current["fields"]:
        name = field["name"]
        if name not in places:
            fields.append((name, field["default"]))
            continue
        inner, place = _record_in(field["type"]), _record_in(places[name])
        if inner is not None and place is not None and inner != place:
            within.append((name, _lacks(inner, place)))
    return _Lacks(tuple(fields), tuple(within))


def _unsaid(fields: Mapping[str, Any], lacks: _Lacks, path: str = "") -> list[str]:
    """Paths of what differs from its default and has no place."""
    found = [path + name for name, default in lacks.fields if fields[name] != default]
    for name, inner in lacks.within:
        value = fields[name]
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                found += _unsaid(each, inner, f"{path}{name}.")
    return found


def _record_in(node: Any) -> Any:
    """The record inside a field's type, an array of it, or its union with null; None if there is none."""
    if isinstance(node, list):
        return next(filter(None, map(_record_in, node)), None)
    if not isinstance(node, dict):
        return None
    return node if node.get("type") == "record" else _record_in(node.get("items"))


def _has(schema: Schema | None, path: str) -> bool:
    node: Any = None if schema is None else schema.source
    for name in path.split("."):
        fields = {} if node is None else {field["name"]: field for field in node["fields"]}
        if name not in fields:
            return False
        node = _record_in(fields[name]["type"])
    return True
