"""Payloads: inputs, outputs, events and statuses as JSON text. `""` is "no payload", which is None.

What JSON holds goes as it is: dict with text, number, boolean or None keys (JSON makes texts of them), list,
tuple (an array), str, int, float, bool, None. Beyond that:

| value | in JSON | comes back by annotation |
|---|---|---|
| dataclass, pydantic model, TypedDict, SimpleNamespace, Mapping | object | yes |
| named tuple | array, being a tuple | yes, from an array or an object |
| datetime, date, time | ISO 8601 text; naive stays naive | yes |
| timedelta | seconds, a number | yes |
| UUID | text | yes |
| Decimal | text, exact | yes, from a number too |
| Enum | its value | yes |

Refused by name: set and frozenset (their order differs between processes: sort them into a list), bytes
(encode them), NaN and infinities, lone surrogates, functions, lists and objects nested too deeply, anything else. Without an annotation a payload
arrives as plain JSON. Here Dapr differs: it rebuilds dataclasses and named tuples as attribute objects even
without one.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from perdure.core.errors import PayloadError, PayloadTooLarge
from perdure.core.json_text import TOO_DEEP, json_value, may_be_deep
from perdure.core.limits import PAYLOAD_BYTES_MAX
from perdure.workflow.shapes import Misfit, shape

__all__ = ["check_size", "dumps", "loads", "parsed"]


def dumps(value: Any) -> str:
    """JSON text of a value; `""` for None. Always encodable as UTF-8. Raises PayloadError, naming what is
    unfit.
    """
    if value is None:
        return ""
    try:
        text = _encode(value)
        if not text.isascii():
            text.encode()
        if may_be_deep(text):
            json_value(text)
    except RecursionError:
        raise PayloadError(f"the value {TOO_DEEP}: JSON cannot hold it") from None
    except (TypeError, ValueError) as error:
        raise PayloadError(_unfit(value, error)) from None
    return text


def check_size(text: str, what: str, limit: int = PAYLOAD_BYTES_MAX) -> None:
    """Raise PayloadTooLarge if the text is over the limit as UTF-8; `what` is "the input of activity 'x'"."""
    if len(text) * 4 <= limit:  # UTF-8 takes at most four bytes a character
        return
    size = len(text) if text.isascii() else len(text.encode())
    if size > limit:
        raise PayloadTooLarge(
            f"{what} has {size:,} bytes as JSON; the limit is {limit:,}: keep it in a store of your own and "
            "pass a reference to it (its key or URL)"
        )


def loads(text: str, annotation: Any = None) -> Any:
    """The value of a JSON text, rebuilt as the annotation says; plain JSON where there is none.

    No payload, and JSON's null, are None whatever the annotation: what an absent input means is the
    function's affair. Raises PayloadError for text that is no JSON, and for JSON that does not fit, naming
    the path to the field.
    """
    if not text:
        return None
    value = parsed(text)
    if annotation is None or value is None or type(value) is annotation:
        return value
    try:
        return shape(annotation)(value)
    except Misfit as misfit:
        raise PayloadError(f"does not fit {_named(annotation)}: {misfit}") from misfit.__cause__
    except RecursionError:
        raise PayloadError(f"the JSON {TOO_DEEP}") from None


def parsed(text: str) -> Any:
    """Plain JSON. Raises PayloadError for anything that RFC 8259 does not allow, NaN included."""
    try:
        return json_value(text)
    except RecursionError:
        raise PayloadError(f"the JSON {TOO_DEEP}") from None
    except ValueError as error:
        raise PayloadError(f"this is no JSON: {error}") from None


def _plain(value: Any) -> Any:
    """One level of a value that JSON does not know; the encoder comes back for what is inside."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
    if kind in (datetime, date, time):
        return value.isoformat()
    if kind is UUID or kind is Decimal:
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if hasattr(kind, "model_dump"):
        return value.model_dump(mode="json")
    if kind is timedelta:
        return value.total_seconds()
    if isinstance(value, SimpleNamespace):
        return vars(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime | date | time):  # a subclass, as some libraries make
        return value.isoformat()
    raise TypeError(_refusal(value))


def _refusal(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, set | frozenset):
        return f"a {kind} has no order that lasts: pass sorted(…) of it, a list"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{kind} are no text: encode them (base64), or pass a reference"
    if hasattr(value, "get_result") and hasattr(value, "is_complete"):
        return f"a {kind} is a task, not its result: yield it (or await it) first"
    if isinstance(value, type) or callable(value):
        return f"{value!r:.80} is code, not data"
    return f"a value of type {kind} is none of what JSON holds: make it a dict, a dataclass or a pydantic model"


# Circular references end in a RecursionError, which costs nothing until it happens; json's own check is a
# dict entry per container.
_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), default=_plain
).encode


def _unfit(value: Any, error: Exception) -> str:
    """The innermost part that cannot be encoded, by its path: slow, and only on the way to an error."""
    path, part = "", value
    for _ in range(100):
        part = part if isinstance(part, dict | list | tuple) else _opened(part)
        if not isinstance(part, dict | list | tuple):
            break
        pairs = part.items() if isinstance(part, dict) else enumerate(part)
        unfit = next(((key, held) for key, held in pairs if not _fits(held)), None)
        if unfit is None:
            break
        key, part = unfit
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else f"{key}"
    try:
        _encode(part).encode()
    except (TypeError, ValueError, RecursionError) as inner:
        error = inner if isinstance(inner, TypeError | ValueError) else error
    if isinstance(error, UnicodeEncodeError):
        return f"{path or 'the text'}: holds a lone surrogate, which UTF-8 cannot hold"
    return f"{path}: {error}" if path else str(error)


def _opened(value: Any) -> Any:
    try:
        return _plain(value)
    except Exception:  # noqa: BLE001 - a stranger's model_dump
        return value


def _fits(value: Any) -> bool:
    try:
        _encode(value).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _named(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
