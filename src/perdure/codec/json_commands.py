"""Commands as JSON, for producers that have no Avro: one object a record, the fields of the command's schema.

    {"command": "StartWorkflow", "name": "order", "input": {"id": 7}, "command_id": "order-7"}

Strict, for a producer's mistake has to be told and not guessed at: a field that there is not, a wrong type, a number that
the schema has no room for, a key given twice. What is absent takes the schema's default. Payloads are the JSON value itself;
null is no payload.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from perdure.codec.avro import DecodeError
from perdure.codec.schemas import load_schemas
from perdure.core.commands import NOT_FOR_STRANGERS, ClientCommand
from perdure.core.json_text import TOO_DEEP, check_depth, may_be_deep, no_number

__all__ = ["PAYLOAD_FIELDS", "command_from_json"]

PAYLOAD_FIELDS: Final = frozenset(("input", "data", "output"))
"""Fields that hold JSON text in the schema, and the JSON value here."""

SHOWN_CHARS_MAX: Final = 60  # of what an error quotes
_WHOLE_BITS: Final = {"int": 31, "long": 63}
_EXPECTED: Final = {"string": "text", "boolean": "true or false", "int": "a whole number", "long": "a whole number"}


def command_from_json(value: bytes) -> ClientCommand:
    """The command in a record's value. Raises DecodeError, naming the field and what is expected; nothing else."""
    given = _parsed(value)
    if type(given) is not dict:
        raise DecodeError('a command in JSON is one object: {"command": "StartWorkflow", …}')
    name = given.pop("command", None)
    form = _forms().get(name) if type(name) is str else None
    if form is None:
        raise DecodeError(f"'command' is one of {', '.join(_forms())}, not {_shown(name)}")
    make, fields, needed = form
    taken = {}
    for field, found in given.items():
        take = fields.get(field)
        if take is None:
            raise DecodeError(f"{name} has no field {_shown(field)}; it has {', '.join(fields)}")
        taken[field] = take(found)
        if taken[field] and field in NOT_FOR_STRANGERS:
            raise DecodeError(f"'{field}' is for our own clients and services: leave it out")
    if missing := [field for field in needed if field not in taken]:
        raise DecodeError(f"{name} lacks {', '.join(missing)}")
    return make(**taken)


def _parsed(value: bytes) -> Any:
    try:
        text = value.decode()
        given = _decode(text)
        if may_be_deep(text):
            for held in given.values() if type(given) is dict else ():
                check_depth(held)
    except UnicodeDecodeError:
        raise DecodeError("JSON is written in UTF-8, and this is not") from None
    except RecursionError:
        raise DecodeError(f"the JSON {TOO_DEEP}") from None
    except ValueError as error:
        raise DecodeError(f"no JSON: {error}"[:300]) from None
    return given


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{_shown(twice)} is given twice")
    return made


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:SHOWN_CHARS_MAX]} is no number that 64 bits hold")
    return number


_decode = json.JSONDecoder(parse_constant=no_number, parse_float=_finite, object_pairs_hook=_distinct).decode
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode

Form = tuple[Callable[..., ClientCommand], dict[str, Callable[[Any], Any]], list[str]]


@cache
def _forms() -> dict[str, Form]:
    """By the command's name: how to make one, what its fields take, and which it needs."""
    classes = {cls.__name__: cls for cls in typing.get_args(ClientCommand)}
    return {
        schema.name: (
            classes[schema.name],
            {field["name"]: _taker(field["name"], field["type"]) for field in schema.parsed["fields"]},
            [field["name"] for field in schema.parsed["fields"] if "default" not in field],
        )
        for schema in load_schemas()
        if schema.family == "command" and schema.current and schema.name in classes
    }


def _taker(name: str, kind: str) -> Callable[[Any], Any]:
    """What checks a field's value, and gives it as the command holds it."""
    if name in PAYLOAD_FIELDS:
        return lambda given: _payload(name, given)
    if kind in _WHOLE_BITS:
        most = 1 << _WHOLE_BITS[kind]

        def whole(given: Any) -> int:
            if type(given) is not int:
                raise _misfit(name, kind, given)
            if not -most <= given < most:
                raise DecodeError(f"'{name}' is out of range: from {-most} to {most - 1}")
            return given

        return whole
    wanted = {"string": str, "boolean": bool}[kind]

    def exact(given: Any) -> Any:
        if type(given) is not wanted:
            raise _misfit(name, kind, given)
        if isinstance(given, str) and not given.isascii():
            _check_text(name, given)
        return given

    return exact


def _payload(name: str, given: Any) -> str:
    if given is None:
        return ""
    text = _encode(given)
    if not text.isascii():
        _check_text(name, text)
    return text


def _check_text(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DecodeError(f"'{name}' holds a lone surrogate, which UTF-8 cannot hold") from None


def _misfit(name: str, kind: str, given: Any) -> DecodeError:
    return DecodeError(f"'{name}' is {_EXPECTED[kind]}, not {_shown(given)}")


def _shown(given: Any) -> str:
    """As JSON, and short: what an error quotes of a stranger's may be long, or no text at all."""
    if isinstance(given, dict | list):
        return "an object" if isinstance(given, dict) else "a list"
    if isinstance(given, int) and abs(given) >= 1 << 64:
        return "a number of more than 64 bits"
    shown = json.dumps(given)
    return shown if len(shown) <= SHOWN_CHARS_MAX else shown[:SHOWN_CHARS_MAX] + "…"
