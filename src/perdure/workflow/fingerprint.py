"""A fingerprint of a workflow's code, to tell a fixed deployment from the one that stalled.

Law: the same source under the same Python gives the same text in every process, whatever its hash seed, its
paths and its addresses. So nothing here may use `hash()`, `id()`, the order of a set, or a `repr` that shows
an address. The bytecode differs between Python versions, and so may the fingerprint: that costs one needless
attempt at a stalled instance, nothing else.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

__all__ = ["code_fingerprint"]


def code_fingerprint(fn: Callable[..., Any]) -> str:
    """16 hex characters that change when the function's code, or the file of the module it is in, changes.

    The file counts as a whole because an orchestrator calls its neighbours. What it imports from elsewhere
    does not count. Decorators, `functools.partial` and callable objects are looked through. Never raises for
    a callable.
    """
    digest = hashlib.sha256()
    for layer in _layers(fn):
        code = getattr(layer, "__code__", None)
        if isinstance(code, CodeType):
            digest.update(_of_code(code))
            for default in (*(layer.__defaults__ or ()), *(layer.__kwdefaults__ or {}).values()):
                digest.update(_of_constant(default))
            digest.update(_of_file(code.co_filename))
    return digest.hexdigest()[:16]


def _layers(fn: Any) -> Iterator[Any]:
    """The callable and what it wraps, outermost first; a cycle of wrappers ends it."""
    seen: list[Any] = []
    while fn is not None and not any(fn is earlier for earlier in seen):
        seen.append(fn)
        yield fn
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif inspect.ismethod(fn):
            fn = fn.__func__
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        elif not hasattr(fn, "__code__"):
            fn = getattr(type(fn), "__call__", None)  # noqa: B004 - the code is wanted, not whether it is callable
        else:
            fn = None


def _of_code(code: CodeType) -> bytes:
    """Neither line numbers nor the file's path: moving a function is no change of what it does."""
    digest = hashlib.sha256(code.co_code)
    shape = (code.co_name, code.co_argcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    digest.update(repr((shape, names)).encode("utf-8", "backslashreplace"))
    for constant in code.co_consts:
        digest.update(_of_constant(constant))
    return digest.digest()


def _of_constant(value: object) -> bytes:
    """A constant by type and content: 1, 1.0 and True differ. A value of an unknown type counts by its type
    alone.
    """
    kind = type(value).__qualname__
    if isinstance(value, CodeType):
        content = _of_code(value)
    elif isinstance(value, tuple):
        content = b"".join(_of_constant(item) for item in value)
    elif isinstance(value, frozenset):  # its order follows the hash seed
        content = b"".join(sorted(_of_constant(item) for item in value))
    elif value is None or type(value) in (bool, int, float, complex, str, bytes, type(...)):
        content = ascii(value).encode()
    else:
        content = b""
    return hashlib.sha256(kind.encode() + b"\0" + content).digest()


def _of_file(path: str) -> bytes:
    """Digest of a source file; empty where there is none to read (a notebook, a shell, a zip)."""
    try:
        stat = Path(path).stat()
        return _of_bytes(path, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError):
        return b""


@functools.lru_cache(maxsize=256)
def _of_bytes(path: str, _mtime_ns: int, _size: int) -> bytes:
    """Read once per state of the file: an application registers many functions of one module."""
    return hashlib.sha256(Path(path).read_bytes()).digest()
