"""The engine that a command speaks to, and what it says of an instance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from perdure.cli.exits import Unusable
from perdure.client.errors import EngineNotFound, EngineUnavailable, InstanceNotFound
from perdure.client.ids import check_known_id
from perdure.client.transport import REQUEST_TIMEOUT_SECONDS, Until
from perdure.core.replies import InstanceSnapshot

if TYPE_CHECKING:
    from perdure.client.sync import WorkflowClient

__all__ = ["connected", "described", "inspected"]

_WAYS = (
    "An engine is looked for in this order: (1) --endpoint URL, (2) PERDURE_ENDPOINT, (3) DAPR_HTTP_ENDPOINT, "
    "(4) http://127.0.0.1:3500. `perdure dev --app module:app` starts one there; list, get and history also read a "
    "file, with --db FILE"
)


@contextmanager
def connected(endpoint: str | None) -> Iterator[WorkflowClient]:
    """A client of the engine at `endpoint`, else of the one that is found. Raises Unusable where none answers."""
    from perdure.client.dapr import DaprWorkflowClient  # noqa: PLC0415 - brings the HTTP client along

    try:
        with DaprWorkflowClient(endpoint) as client:
            yield client
    except EngineNotFound:
        raise Unusable(f"no engine is running. {_WAYS}") from None
    except EngineUnavailable as error:
        raise Unusable(f"{error}. {_WAYS}") from None


def inspected(
    client: WorkflowClient,
    instance_id: str,
    *,
    until: Until = "now",
    timeout_s: float = REQUEST_TIMEOUT_SECONDS,
    detail: bool = False,
) -> InstanceSnapshot:
    """The instance as its owner tells it, with all that the client's WorkflowState leaves out.

    Raises InstanceNotFound, TimeoutError.
    """
    check_known_id(instance_id)
    inspect = client.inner.transport.inspect
    known = client.portal.call(inspect, instance_id, until=until, timeout_s=timeout_s, detail=detail)
    if known is None:
        raise InstanceNotFound(f"no workflow instance has the ID '{instance_id}': `perdure list` shows those there are")
    return known


def described(client: WorkflowClient, instance_id: str) -> tuple[InstanceSnapshot, dict[str, Any]]:
    """The instance, and what it awaits (`perdure.core.describe`)."""
    known = inspected(client, instance_id, detail=True)
    return known, json.loads(known.detail) if known.detail else {}
