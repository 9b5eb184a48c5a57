"""`DaprWorkflowClient` for asyncio, as `dapr.ext.workflow.aio` has it: the same verbs, awaited, in any event loop."""

from __future__ import annotations

from perdure.client.discovery import Endpoint, Given, client_of, find_engine, remote_client
from perdure.client.portal import HerePortal
from perdure.client.relayed import RelayedWorkflowClient
from perdure.client.sync import WorkflowClient
from perdure.workflow.app import App

__all__ = ["DaprWorkflowClient"]


class DaprWorkflowClient(RelayedWorkflowClient):
    """Finds its engine as the blocking one does. Over HTTP or Kafka it belongs to the loop that uses it first."""

    def __init__(
        self,
        host: Given = None,
        port: str | int | None = None,
        *,
        api_token: str | None = None,
        app: App | None = None,
    ) -> None:
        found = find_engine(host, port=port, api_token=api_token)
        if isinstance(found, WorkflowClient):
            super().__init__(found.inner, found.portal)
        elif isinstance(found, Endpoint):
            super().__init__(remote_client(found, app), HerePortal(), owned=True)
        else:
            super().__init__(*client_of(found, app))
