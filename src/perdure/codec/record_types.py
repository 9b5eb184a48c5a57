"""The dataclasses that have a schema of their own, and how they lie within one another."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from perdure.core import commands, effects, events, replies, rows

__all__ = ["nested_fields", "record_types"]


def record_types() -> tuple[type, ...]:
    """Every dataclass that has a schema of its own."""
    return (
        *typing.get_args(commands.Command),
        *typing.get_args(events.Event),
        events.BatchCommitted,
        effects.ActivityTask,
        effects.SetTimer,
        effects.CancelTimer,
        replies.Reply,
        rows.InstanceRow,
    )


def nested_fields(cls: type) -> dict[str, type]:
    """Those fields of a dataclass that hold others, and which."""
    found = {name: _nested(hint) for name, hint in typing.get_type_hints(cls).items()}
    return {name: inner for name, inner in found.items() if inner is not None}


def _nested(annotation: Any) -> type | None:
    """The dataclass inside `X`, `X | None` or `list[X]`, if there is one."""
    if dataclasses.is_dataclass(annotation):
        return typing.cast("type", annotation)
    if typing.get_origin(annotation) in (list, types.UnionType):
        return next(filter(None, map(_nested, typing.get_args(annotation))), None)
    return None
