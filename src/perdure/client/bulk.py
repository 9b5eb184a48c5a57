"""One command to every instance that fits a filter.

The list comes from the store and may be half a second old, so an instance that has changed since is skipped, not an
error. A filter must say something, for "everything" is too easily said by mistake; a status alone is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from perdure.client.errors import InstanceNotFound, NotFinished, NotRunning
from perdure.client.listing import PAGE_ROWS_MAX
from perdure.client.transport import Transport
from perdure.client.values import BulkResult
from perdure.core.errors import PerdureError
from perdure.ports.store import Filter
from perdure.workflow.status import WorkflowStatus

__all__ = ["ACTIVE", "TERMINAL", "each_of"]

TERMINAL = tuple(status.name for status in WorkflowStatus if status.is_terminal)
ACTIVE = tuple(status.name for status in WorkflowStatus if not status.is_terminal)
AT_ONCE = 64


async def each_of(
    transport: Transport,
    where: Filter,
    statuses: Sequence[str],
    limit: int,
    act: Callable[[str], Awaitable[None]],
) -> BulkResult:
    """`act` on the id of each of at most `limit` instances. `statuses` are those asked for where none are.

    Raises ValueError for an empty filter, and for a limit out of 1…PAGE_ROWS_MAX.
    """
    if where == Filter():
        raise ValueError("a bulk operation needs a filter: name, status, id_prefix, created_from or created_to")
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise ValueError(f"limit is {limit}: a bulk operation takes 1 to {PAGE_ROWS_MAX} instances")
    where.statuses = where.statuses or statuses
    page = await transport.list(where, limit)
    result = BulkResult([], [], {}, bool(page.next))
    ids = [row.instance_id for row in page.rows]
    for begin in range(0, len(ids), AT_ONCE):
        await asyncio.gather(*(_one(act, each, result) for each in ids[begin : begin + AT_ONCE]))
    return result


async def _one(act: Callable[[str], Awaitable[None]], instance_id: str, result: BulkResult) -> None:
    try:
        await act(instance_id)
    except (InstanceNotFound, NotRunning, NotFinished):
        result.skipped.append(instance_id)
    except (PerdureError, TimeoutError) as error:
        result.failed[instance_id] = str(error)
    else:
        result.done.append(instance_id)
