"""Logs: structlog to standard error, one line an event; text for people, JSON for machines.

An application that has configured structlog itself keeps its configuration.
"""

from __future__ import annotations

import logging
import os
import sys

import structlog

__all__ = ["configure_logs"]


def configure_logs(*, json: bool | None = None, level: str | None = None) -> None:
    """Set structlog up, unless somebody did. PERDURE_LOG_LEVEL (INFO) and PERDURE_LOG_FORMAT (text or json) decide."""
    if structlog.is_configured():
        return
    name = (level or os.environ.get("PERDURE_LOG_LEVEL", "INFO")).upper()
    as_json = json if json is not None else os.environ.get("PERDURE_LOG_FORMAT", "text").lower() == "json"
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if as_json else _unchanged,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping().get(name, logging.INFO)),
        logger_factory=_ToStderr(),
        cache_logger_on_first_use=False,
    )


class _ToStderr:
    """Looks standard error up for each logger, so that a replaced one (a test's, a terminal's) is honoured."""

    def __call__(self, *_: object) -> structlog.PrintLogger:
        return structlog.PrintLogger(sys.stderr)


def _unchanged(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
