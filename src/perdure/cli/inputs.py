"""What users write on the command line: JSON, and times."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from perdure.cli.exits import NotThere, UsageError
from perdure.client.values import JsonText
from perdure.core.errors import PayloadError
from perdure.workflow.payloads import parsed

__all__ = ["json_given", "moment", "period_s"]

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_PERIOD = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_PERIOD_SECONDS_MAX: Final = 100 * 365 * 86_400.0  # calendars and loops count no further


def json_given(given: str | None, option: str) -> JsonText | None:
    """The JSON of `--input` and its like: itself, `@file`, or `-` for standard input. Raises UsageError, NotThere."""
    if given is None:
        return None
    source = option
    if given == "-":
        source, text = f"{option}, standard input", _decoded(sys.stdin.buffer.read(), option)
    elif given.startswith("@"):
        source = f"{option}, {given[1:]}"
        try:
            text = _decoded(Path(given[1:]).read_bytes(), source)
        except OSError as error:
            raise NotThere(f"{option}: {given[1:]} cannot be read: {error.strerror}") from None
        except UsageError:
            raise
        except ValueError as error:
            raise NotThere(f"{option}: {given[1:]!r} names no file: {error}") from None
    else:
        text = given
    try:
        parsed(text)
    except PayloadError as error:
        raise UsageError(f"{source}{_position(text) or f': {error}'}") from None
    return JsonText(text)


def _position(text: str) -> str:
    """Where the JSON goes wrong; empty for what is well-formed and yet refused, such as NaN."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f" is no JSON: {error.msg} at line {error.lineno}, column {error.colno}{_hint(text)}"
    except (ValueError, RecursionError):
        pass
    return ""


def _decoded(raw: bytes, source: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{source} is not UTF-8: byte {error.start}") from None


def _hint(text: str) -> str:
    if not text.strip():
        return ": it is empty; leave the option out for no payload"
    if re.fullmatch(r"[\w .,@:/+-]+", text):
        return f""": a text needs JSON's quotes, '"{text}"'"""
    return ""


def moment(given: str | None, option: str, *, back: bool = False) -> datetime | None:
    """A time: RFC 3339 (without an offset it is UTC), or a period from now, such as `90s`, `2h`, `7d`.

    `back`: a period counts into the past. Raises UsageError.
    """
    if given is None:
        return None
    if _PERIOD.fullmatch(given.removeprefix("+")):
        period = timedelta(seconds=period_s(given.removeprefix("+"), option) or 0.0)
        try:
            return _now() - period if back else _now() + period
        except OverflowError:
            raise UsageError(f"{option} {given!r} is before the first year or after the last") from None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise UsageError(
            f"{option} {given!r} is no time: write 2026-01-31T12:00:00Z, or a period such as 30s, 10m, 2h, 7d"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def period_s(given: str | None, option: str) -> float | None:
    """Seconds of `30`, `30s`, `10m`, `2h`, `7d`. Raises UsageError."""
    if given is None:
        return None
    found = _PERIOD.fullmatch(given if given[-1:].isalpha() else f"{given}s")
    if found is None:
        raise UsageError(f"{option} {given!r} is no period: write 30, 30s, 10m, 2h or 7d")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > _PERIOD_SECONDS_MAX:
        raise UsageError(f"{option} {given[:80]!r} is too long: at most 100 years")
    return seconds


def _now() -> datetime:
    from perdure.assembly import system_clock  # noqa: PLC0415 - the assembly brings the engine along

    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=system_clock().now_us())
