"""A logger for orchestrators that speaks once: silent while code runs again over what history already holds.

structlog underneath. Both ways of calling work: `logger.info("order %s", order_id)` as with the standard
library, and `logger.info("order placed", order_id=order_id)`. A log call never fails the workflow for its
arguments.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import structlog

__all__ = ["ReplaySafeLogger", "replay_safe_logger"]


def replay_safe_logger(get_is_muted: Callable[[], bool], **bound: Any) -> ReplaySafeLogger:
    """A logger with these values bound; silent whenever `get_is_muted()` is true (replaying, sealed)."""
    return ReplaySafeLogger(get_is_muted, structlog.get_logger("perdure.workflow").bind(**bound))


class ReplaySafeLogger:
    """The methods of a standard logger and of a structlog one. Muted, a call costs one question and no
    formatting.
    """

    __slots__ = ("_get_is_muted", "_logger")

    def __init__(self, get_is_muted: Callable[[], bool], logger: Any) -> None:
        self._get_is_muted = get_is_muted
        self._logger = logger

    def bind(self, **values: Any) -> ReplaySafeLogger:
        """A logger with these values added to every line."""
        return ReplaySafeLogger(self._get_is_muted, self._logger.bind(**values))

    def debug(self, event: object, /, *args: object, **values: Any) -> None:
        self._write("debug", event, args, values)

    def info(self, event: object, /, *args: object, **values: Any) -> None:
        self._write("info", event, args, values)

    def warning(self, event: object, /, *args: object, **values: Any) -> None:
        self._write("warning", event, args, values)

    warn = warning

    def error(self, event: object, /, *args: object, **values: Any) -> None:
        self._write("error", event, args, values)

    def critical(self, event: object, /, *args: object, **values: Any) -> None:
        self._write("critical", event, args, values)

    fatal = critical

    def exception(self, event: object, /, *args: object, **values: Any) -> None:
        """`error`, with the exception being handled."""
        values.setdefault("exc_info", True)
        self._write("error", event, args, values)

    def log(self, level: int | str, event: object, /, *args: object, **values: Any) -> None:
        """At a level of the standard library's, by number or name; one in between counts as the next lower
        one.
        """
        self._write(_method(level), event, args, values)

    def _write(self, method: str, event: object, args: tuple[object, ...], values: dict[str, Any]) -> None:
        if self._get_is_muted():
            return
        values.pop("stacklevel", None)  # the standard library's: names the caller's frame, which is not printed
        extra = values.pop("extra", None)
        if isinstance(extra, dict):
            values = {**extra, **values}
        for taken in ("event", "method_name"):  # structlog's own: a value of that name must not raise
            if taken in values:
                values[f"{taken}_"] = values.pop(taken)
        getattr(self._logger, method)(_filled(event, args), **values)


def _filled(event: object, args: tuple[object, ...]) -> str:
    """The text with its % arguments; those that do not fit are shown behind it."""
    try:
        text = str(event)
        if not args:
            return text
        return text % (args[0] if len(args) == 1 and isinstance(args[0], dict) and args[0] else args)
    except Exception:  # noqa: BLE001 - a stranger's __str__, or a text that is no format for these arguments
        return " ".join(_shown(part) for part in (event, *args))


def _shown(part: object) -> str:
    try:
        return str(part)
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(part).__name__}>"


def _method(level: int | str) -> str:
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO) if isinstance(level, str) else level
    for bound, method in ((50, "critical"), (40, "error"), (30, "warning"), (20, "info")):
        if number >= bound:
            return method
    return "debug"
