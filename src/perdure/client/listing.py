"""Filters for lists and bulk operations, as keyword arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypedDict

from perdure.client.values import to_us
from perdure.core.limits import DERIVED_ID_BYTES_MAX, FILTER_NAMES_MAX
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
    statuses = [status] if isinstance(status, str | WorkflowStatus) else list(status)
    names = (name,) if isinstance(name, str) else tuple(name)
    prefix = where.get("id_prefix", "")
    if max(len(names), len(statuses)) > FILTER_NAMES_MAX:
        raise ValueError(f"a filter asks for at most {FILTER_NAMES_MAX} names and {FILTER_NAMES_MAX} statuses")
    for text in (*names, prefix):
        _check_text(text)
    return Filter(
        names=names,
        statuses=tuple(_status_names(statuses)),
        id_prefix=prefix,
        created_from_us=to_us(where["created_from"]) if "created_from" in where else 0,
        created_to_us=to_us(where["created_to"]) if "created_to" in where else 0,
    )


def _check_text(text: str) -> None:
    """What could be the name or the beginning of the id of an instance; some stores fail at other texts."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{text[:64]!r} is not valid Unicode") from None
    if size > DERIVED_ID_BYTES_MAX or "\0" in text:
        raise ValueError(f"{text[:64]!r} is longer than any name or id, or holds a NUL, which none does")


def _status_names(statuses: Iterable[WorkflowStatus | str]) -> Iterable[str]:
    for status in statuses:
        name = status.name if isinstance(status, WorkflowStatus) else status.upper()
        if name not in WorkflowStatus.__members__:
            raise ValueError(f"no status {status!r}: one of {', '.join(WorkflowStatus.__members__)}")
        yield name
