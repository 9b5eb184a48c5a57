"""What aiokafka, the Cassandra driver and uvicorn say, in the same form and place as everything else."""

from __future__ import annotations

import logging

import structlog

__all__ = ["take_library_logs"]


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger(record.name).log(record.levelno, record.getMessage())
        except Exception:  # noqa: BLE001 - the handler's contract: a line that cannot be written harms nobody
            self.handleError(record)


def take_library_logs(level: int = logging.WARNING) -> None:
    """Unless the root logger has a handler: then somebody wants them elsewhere."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_ToStructlog())
        root.setLevel(level)
