"""Builders for what has named fields: dataclass, named tuple, TypedDict, pydantic model, SimpleNamespace.

Unknown keys are let pass (a newer writer may know more), missing fields take their defaults. The fields'
types are looked up at the first use, so that a class may hold itself.
"""

from __future__ import annotations

import dataclasses
import typing
from types import SimpleNamespace
from typing import Any

from perdure.workflow.shapes import Build, Misfit, hints_of, shape

__all__ = ["keys_of", "record_shape"]


def record_shape(kind: Any) -> Build | None:
    """The builder for a class with named fields; None for anything else."""
    if not isinstance(kind, type):
        return None
    if kind is SimpleNamespace:
        return _namespace
    if hasattr(kind, "model_validate"):
        return _Model(kind)
    if dataclasses.is_dataclass(kind):
        return _Dataclass(kind)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _NamedTuple(kind)
    if issubclass(kind, dict) and hasattr(kind, "__total__"):
        return _TypedDict(kind)
    return None


def keys_of(kind: Any) -> frozenset[str] | None:
    """The names of a record's fields; None for what is no record."""
    kind = typing.get_origin(kind) or kind
    if hasattr(kind, "model_fields"):
        return frozenset(kind.model_fields)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return frozenset(field.name for field in dataclasses.fields(kind))
    if isinstance(kind, type) and hasattr(kind, "__total__"):
        return frozenset(hints_of(kind))
    return frozenset(kind._fields) if hasattr(kind, "_fields") else None


def _namespace(value: Any) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{name: _namespace(held) for name, held in value.items()})
    return [_namespace(held) for held in value] if isinstance(value, list) else value


class _Record:
    """What the kinds have in common: the fields' builders, looked up late, and the path of a misfit."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._known: dict[str, Build] | None = None

    @property
    def _fields(self) -> dict[str, Build]:
        if self._known is None:
            hints = hints_of(self._kind)
            self._known = {name: shape(hints.get(name, Any)) for name in self._names()}
        return self._known

    def _names(self) -> list[str]:
        raise NotImplementedError

    def _built(self, value: Any, required: set[str] | frozenset[str]) -> dict[str, Any]:
        if type(value) is not dict:
            raise Misfit(f"an object ({self._kind.__name__})", value)
        built = {}
        for name, build in self._fields.items():
            if name in value:
                try:
                    built[name] = build(value[name])
                except Misfit as misfit:
                    raise misfit.within(name) from None
            elif name in required:
                missing = Misfit(f"a field of {self._kind.__name__}", value).within(name)
                missing.found = "nothing"
                raise missing
        return built

    def _made(self, **fields: Any) -> Any:
        """The class's own checks (`__post_init__`, validators) are its author's word on what fits."""
        try:
            return self._kind(**fields)
        except Exception as error:
            refused = Misfit(f"a valid {self._kind.__name__} ({type(error).__name__}: {error})", fields)
            raise refused from error


class _Dataclass(_Record):
    def _names(self) -> list[str]:
        return [field.name for field in dataclasses.fields(self._kind) if field.init]

    def __init__(self, kind: Any) -> None:
        super().__init__(kind)
        absent = dataclasses.MISSING
        self._required = {
            field.name
            for field in dataclasses.fields(kind)
            if field.init and field.default is absent and field.default_factory is absent
        }

    def __call__(self, value: Any) -> Any:
        return self._made(**self._built(value, self._required))


class _NamedTuple(_Record):
    """Written as an array, since it is a tuple; an object with its field names is understood too."""

    def _names(self) -> list[str]:
        return list(self._kind._fields)

    def __call__(self, value: Any) -> Any:
        names = self._names()
        if type(value) is list and len(value) <= len(names):
            value = dict(zip(names, value, strict=False))
        elif type(value) is not dict:
            raise Misfit(f"an array of {len(names)} ({self._kind.__name__})", value)
        required = set(names) - set(self._kind._field_defaults)
        return self._kind(**self._built(value, required))


class _TypedDict(_Record):
    """Stays a dict; keys it does not name are kept as they are."""

    def _names(self) -> list[str]:
        return list(hints_of(self._kind))

    def __call__(self, value: Any) -> Any:
        built = self._built(value, self._required())
        return {**value, **built}

    def _required(self) -> set[str]:
        """By the resolved annotations: Python's own set is wrong where they were texts (before 3.13)."""
        required = set()
        for name, hint in hints_of(self._kind).items():
            marker = getattr(typing.get_origin(hint), "_name", "")
            if marker == "Required" or (marker != "NotRequired" and name in self._kind.__required_keys__):
                required.add(name)
        return required


class _Model(_Record):
    """A pydantic model, or what validates like one. Its own rules of coercion apply."""

    def __call__(self, value: Any) -> Any:
        try:
            return self._kind.model_validate(value)
        except Exception as error:
            errors = getattr(error, "errors", None)
            found = errors() if callable(errors) else []
            reason = found[0]["msg"] if found else f"{type(error).__name__}: {error}"
            culprit = found[0]["input"] if found else value
            refused = Misfit(f"a valid {self._kind.__name__} ({reason})", culprit)
            for step in reversed(found[0]["loc"] if found else ()):
                refused.within(f"[{step}]" if isinstance(step, int) else str(step))
            raise refused from error
