"""Dapr's clients by Dapr's names: change the import, and the code goes on.

`DaprWorkflowClient` is the blocking client that finds its engine; `DaprClient` has the seven workflow verbs of Dapr's
general client. Both may be called while an event loop runs in the thread. See `docs/from-dapr.md` for what differs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from perdure.client.discovery import Endpoint, Given, client_of, find_engine, remote_client
from perdure.client.errors import InstanceNotFound
from perdure.client.portal import ThreadPortal
from perdure.client.sync import WorkflowClient
from perdure.client.values import JsonText
from perdure.core.errors import PayloadError
from perdure.workflow.app import App
from perdure.workflow.payloads import parsed
from perdure.workflow.status import WorkflowState

__all__ = ["DaprClient", "DaprWorkflowClient", "GetWorkflowResponse", "StartWorkflowResponse"]


class DaprWorkflowClient(WorkflowClient):
    """The blocking client, by itself: `DaprWorkflowClient()` finds its engine (see `perdure.client.discovery`).

    `host` may also be an engine, another client, a URL, or kafka://host:port, which needs no gateway (docs/services.md);
    `host` and `port` are the gateway's HTTP address. Raises EngineNotFound, and ValueError for what is no address.
    """

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
            super().__init__(remote_client(found, app), ThreadPortal(), owned=True)
        else:
            super().__init__(*client_of(found, app))


@dataclass(slots=True, frozen=True)
class StartWorkflowResponse:
    instance_id: str


@dataclass(slots=True, frozen=True)
class GetWorkflowResponse:
    """`runtime_status` is spelled as Dapr's client does: "Running", "Completed", …; `properties` as in its HTTP API."""

    instance_id: str
    workflow_name: str
    created_at: datetime
    last_updated_at: datetime
    runtime_status: str
    properties: dict[str, str] = field(default_factory=dict)


class DaprClient:
    """The workflow verbs of Dapr's `DaprClient`. `workflow_component` is taken and, as in Dapr, not checked."""

    def __init__(self, address: Given = None, *, api_token: str | None = None) -> None:
        self._client = DaprWorkflowClient(address, api_token=api_token)

    def start_workflow(
        self,
        workflow_component: str,
        workflow_name: str,
        input: Any = None,
        instance_id: str | None = None,
        workflow_options: dict[str, str] | None = None,
        send_raw_bytes: bool = False,  # noqa: FBT001, FBT002, RUF100 - Dapr's argument
    ) -> StartWorkflowResponse:
        """Start a workflow by its registered name. With send_raw_bytes the input is JSON, as bytes or text."""
        del workflow_component
        if workflow_options:
            raise NotImplementedError("workflow_options are not built: Perdure has no components to configure")
        payload = _json(input) if send_raw_bytes else input
        return StartWorkflowResponse(
            self._client.schedule_new_workflow(workflow_name, input=payload, instance_id=instance_id)
        )

    def get_workflow(self, instance_id: str, workflow_component: str) -> GetWorkflowResponse:
        """Raises InstanceNotFound."""
        del workflow_component
        state = self._client.get_workflow_state(instance_id)
        if state is None:
            raise InstanceNotFound(f"no workflow instance has the ID '{instance_id}'")
        return GetWorkflowResponse(
            state.instance_id, state.name, state.created_at, state.last_updated_at,
            state.runtime_status.name.capitalize(), dapr_properties(state),
        )  # fmt: skip

    def raise_workflow_event(
        self,
        instance_id: str,
        workflow_component: str,
        event_name: str,
        event_data: Any = None,
        send_raw_bytes: bool = False,  # noqa: FBT001, FBT002, RUF100 - Dapr's argument
    ) -> None:
        del workflow_component
        data = _json(event_data) if send_raw_bytes else event_data
        self._client.raise_workflow_event(instance_id, event_name, data=data)

    def pause_workflow(self, instance_id: str, workflow_component: str) -> None:
        del workflow_component
        self._client.pause_workflow(instance_id)

    def resume_workflow(self, instance_id: str, workflow_component: str) -> None:
        del workflow_component
        self._client.resume_workflow(instance_id)

    def terminate_workflow(self, instance_id: str, workflow_component: str) -> None:
        del workflow_component
        self._client.terminate_workflow(instance_id)

    def purge_workflow(self, instance_id: str, workflow_component: str) -> None:
        del workflow_component
        self._client.purge_workflow(instance_id)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def dapr_properties(state: WorkflowState) -> dict[str, str]:
    """Dapr's `properties` of an instance: those that there are."""
    failure = state.failure_details
    found = {
        "dapr.workflow.input": state.serialized_input,
        "dapr.workflow.output": state.serialized_output,
        "dapr.workflow.custom_status": state.serialized_custom_status,
        "dapr.workflow.failure.error_type": failure.error_type if failure else None,
        "dapr.workflow.failure.error_message": failure.message if failure else None,
        "dapr.workflow.failure.stack_trace": failure.stack_trace if failure else None,
    }
    return {name: text for name, text in found.items() if text is not None}


def _json(raw: Any) -> JsonText | None:
    if raw is None:
        return None
    if not isinstance(raw, bytes | str):
        raise PayloadError(f"send_raw_bytes takes JSON as bytes or text, not {type(raw).__name__}")
    try:
        text = raw if isinstance(raw, str) else raw.decode()
    except UnicodeDecodeError:
        raise PayloadError("raw bytes must be JSON in UTF-8") from None
    parsed(text)
    return JsonText(text)
