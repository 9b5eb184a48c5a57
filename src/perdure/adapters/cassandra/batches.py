"""Statements of one partition as few requests: one is a single write for Cassandra, and costs this process a tenth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from perdure.adapters.cassandra.requests import Requests

__all__ = ["ROW_BYTES", "batches"]

BATCH_BYTES_MAX = 40 * 1024
BATCH_ROWS_MAX = 200
ROW_BYTES = 100  # of keys and timestamps, about


def batches(requests: Requests, statements: Iterable[tuple[Any, int]]) -> Iterator[Any]:
    """Of statements for one partition, with their sizes in bytes; within a batch their order means nothing."""
    return requests.batches(statements, BATCH_ROWS_MAX, BATCH_BYTES_MAX)
