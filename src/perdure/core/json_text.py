"""JSON text to a value, as strict as RFC 8259 and never deeper than PAYLOAD_DEPTH_MAX: what a payload may be.

Used where user code is handed a payload, and where a stranger's command brings one.
"""

from __future__ import annotations

import json
from typing import Any, Final

from perdure.core.limits import PAYLOAD_DEPTH_MAX

__all__ = ["TOO_DEEP", "check_depth", "json_value", "may_be_deep", "no_number"]

TOO_DEEP: Final = (
    f"is nested too deeply (at most {PAYLOAD_DEPTH_MAX} lists and objects within each other), or holds itself"
)


def json_value(text: str) -> Any:
    """Plain JSON. Raises ValueError for anything that is none, NaN included; RecursionError for what is TOO_DEEP."""
    value = _decode(text)
    if may_be_deep(text):
        check_depth(value)
    return value


def may_be_deep(text: str) -> bool:
    return text.count("[") + text.count("{") > PAYLOAD_DEPTH_MAX


def check_depth(value: Any) -> None:
    """Raises RecursionError, as parsers do, but at the same depth wherever it runs and however deep its caller is."""
    level = [value]
    for _ in range(PAYLOAD_DEPTH_MAX):
        inner = (node.values() if type(node) is dict else node for node in level if type(node) in (dict, list))
        level = [each for held in inner for each in held if type(each) in (dict, list)]
        if not level:
            return
    raise RecursionError


def no_number(name: str) -> float:
    """For a decoder's parse_constant: NaN and the infinities."""
    raise ValueError(f"{name} is not a number that JSON has")


_decode = json.JSONDecoder(parse_constant=no_number).decode
