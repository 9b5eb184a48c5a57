"""Filters for lists and bulk operations, as keyword arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypedDict

from perdure.client.values import to_us
from perdure.ports.store import Filter
from perdure.workflow.status import WorkflowStatus

__all__ = ["PAGE_ROWS_MAX", "Where", "make_filter"]

PAGE_ROWS_MAX = 1_000
"""Rows of one page, and instances that one bulk operation takes."""


class Where(TypedDict, total=False):
    """Conditions, all of which hold: name(s), status(es), `created_from` (inclusive) to `created_to` (exclusive)."""

    name: str | Sequence[str]
    status: WorkflowStatus | str | Sequence[WorkflowStatus | str]
    id_prefix: str
    created_from: datetime
    created_to: datetime


def make_filter(where: Where) -> Filter:
    """Raises ValueError for a status that there is not, TypeError for a condition that there is not.

    A misspelt condition that was ignored would list, or purge, everything else.
    """
    unknown = sorted(where.keys() - Where.__annotations__.keys())
    if unknown:
        raise TypeError(f"no condition {', '.join(unknown)}: there are {', '.join(Where.__annotations__)}")
    name = where.get("name", ())
    status = where.get("status", ())
    statuses = [status] if isinstance(status, str | WorkflowStatus) else status
    return Filter(
        names=(name,) if isinstance(name, str) else tuple(name),
        statuses=tuple(_status_names(statuses)),
        id_prefix=where.get("id_prefix", ""),
        created_from_us=to_us(where["created_from"]) if "created_from" in where else 0,
        created_to_us=to_us(where["created_to"]) if "created_to" in where else 0,
    )


def _status_names(statuses: Iterable[WorkflowStatus | str]) -> Iterable[str]:
    for status in statuses:
        name = status.name if isinstance(status, WorkflowStatus) else status.upper()
        if name not in WorkflowStatus.__members__:
            raise ValueError(f"no status {status!r}: one of {', '.join(WorkflowStatus.__members__)}")
        yield name
