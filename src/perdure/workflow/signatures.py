"""What a function's declaration says: its kind, whether it takes an input, and the types."""

from __future__ import annotations

import contextlib
import functools
import inspect
import typing
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

from perdure.workflow.shapes import resolved

__all__ = ["Signature", "is_declared", "qualified_name", "signature_of"]


class Signature(NamedTuple):
    """Types are None where no annotation resolves; a generator's result is R of its Generator[Y, S, R]."""

    takes_input: bool
    input_type: Any
    output_type: Any


def signature_of(fn: Callable[..., Any], what: str) -> Signature:
    """The signature of a function that is called with (ctx) or (ctx, input); TypeError if it cannot be."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except ValueError:  # some builtins have no signature to show
        return Signature(True, None, None)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    wanting = [p for p in positional[2:] if p.default is p.empty]
    wanting += [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if wanting or not (positional or variadic):
        declared = f"{qualified_name(fn)}{inspect.signature(fn)}"
        raise TypeError(f"{what} is called with (ctx) or (ctx, input), and {declared} cannot be")
    input_type = _annotation(fn, positional[1].name) if len(positional) > 1 else None
    output_type = _annotation(fn, "return")
    if not is_declared(inspect.iscoroutinefunction, fn):
        output_type = _returned(output_type)
    return Signature(len(positional) > 1 or variadic, input_type, output_type)


def is_declared(predicate: Callable[[Any], bool], fn: Any) -> bool:
    """The predicate for a function, or for the `__call__` of an object that is called like one."""
    return predicate(fn) or (not hasattr(fn, "__code__") and predicate(getattr(fn, "__call__", None)))  # noqa: B004


def qualified_name(fn: Any) -> str:
    return f"{getattr(fn, '__module__', '?')}.{getattr(fn, '__qualname__', type(fn).__qualname__)}"


def _annotation(fn: Any, name: str) -> Any:
    """One resolved annotation, or None. Each alone: one that cannot be resolved spoils no other."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = inspect.unwrap(fn)
    if not hasattr(fn, "__code__") and not inspect.ismethod(fn):
        fn = getattr(type(fn), "__call__", fn)  # noqa: B004 - its annotations are wanted
    target = getattr(fn, "__func__", fn)
    annotations = getattr(target, "__annotations__", {})
    if name not in annotations:
        return None
    found = resolved(annotations[name], getattr(target, "__globals__", {}), _enclosing(target))
    return None if found is type(None) else found


def _enclosing(fn: Any) -> dict[str, Any]:
    """What the function sees of the functions around it; a cell that is not filled yet is left out."""
    names = getattr(getattr(fn, "__code__", None), "co_freevars", ())
    found = {}
    for name, cell in zip(names, getattr(fn, "__closure__", None) or (), strict=False):
        with contextlib.suppress(ValueError):
            found[name] = cell.cell_contents
    return found


def _returned(annotation: Any) -> Any:
    """R of Generator[Y, S, R]; None of Iterator and the like, which do not say; else as it is."""
    origin = typing.get_origin(annotation) or annotation
    if origin is Generator:
        arguments = typing.get_args(annotation)
        return arguments[2] if len(arguments) == 3 and arguments[2] is not type(None) else None
    return None if origin in (Iterator, Iterable) else annotation
