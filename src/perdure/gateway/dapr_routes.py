"""Dapr's seven routes, with Dapr's status codes, bodies and error codes, under each of Dapr's three versions.

Dapr answers most refusals with 500 and the verb's own code; what the engine says by name is in the message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query, Request

from perdure.client.dapr import dapr_properties
from perdure.client.errors import CommandRejected, InstanceNotFound, InvalidInstanceId
from perdure.client.wire import rfc3339
from perdure.core.replies import InstanceSnapshot
from perdure.gateway.descriptions import JSON_BODY, errors
from perdure.gateway.models import DaprWorkflow, Done, StartAnswer
from perdure.gateway.parameters import CommandId, Component, EventName, InstanceId, RequestedBy, WorkflowName
from perdure.gateway.problems import Problem
from perdure.gateway.use_cases import UseCases
from perdure.workflow.status import WorkflowState

__all__ = ["VERSIONS", "dapr_router"]

VERSIONS: Final = {"/v1.0": False, "/v1.0-beta1": True, "/v1.0-alpha1": False}
"""Prefix, and whether a body {"input": …} is unwrapped there by default."""

Route = TypeVar("Route", bound=Callable[..., Any])
Raw = Annotated[
    bool | None,
    Query(
        description='true: the whole body is the input. false: {"input": …} is unwrapped. Default: as the version does.'
    ),
]
NewId = Annotated[
    str | None, Query(alias="instanceID", description="Letters, digits, - and _, at most 64. Else one is made.")
]


@contextmanager
def _as_dapr(code: str, *, unknown_is_404: bool = False) -> Iterator[None]:
    try:
        yield
    except InvalidInstanceId:
        raise
    except InstanceNotFound as error:
        if unknown_is_404:
            raise
        raise Problem(500, code, str(error)) from None
    except CommandRejected as error:
        raise Problem(500, code, str(error)) from None


def dapr_router(cases: UseCases, *, unwraps: bool) -> APIRouter:
    """The seven under one prefix."""
    router = APIRouter(prefix="/workflows/{component:segment}", tags=["Dapr"])

    @router.post("/{name:segment}/start", status_code=202, responses=errors(400, 413, 500), openapi_extra=JSON_BODY)
    async def start(
        component: Component,
        name: WorkflowName,
        request: Request,
        instance_id: NewId = None,
        raw: Raw = None,
        command_id: CommandId = None,
        requested_by: RequestedBy = None,
    ) -> StartAnswer:
        """Start a workflow; the body is its input. Also an active ID is 500 ERR_START_WORKFLOW."""
        del component
        unwrap = unwraps if raw is None else not raw
        with _as_dapr("ERR_START_WORKFLOW"):
            started = await cases.start(
                name, await request.body(), instance_id=instance_id, command_id=command_id,
                requested_by=requested_by, unwrap=unwrap,
            )  # fmt: skip
        return StartAnswer(instanceID=started)

    @router.get("/{instance_id:segment}", responses=errors(400, 404), response_model_exclude_none=True)
    async def get(component: Component, instance_id: InstanceId) -> DaprWorkflow:
        """The instance as it is now."""
        del component
        return _shown(await cases.get(instance_id))

    @router.post(
        "/{instance_id:segment}/raiseEvent/{event_name:segment}", status_code=202, responses=errors(400, 413, 500),
        openapi_extra=JSON_BODY,
    )  # fmt: skip
    async def raise_event(
        component: Component,
        instance_id: InstanceId,
        event_name: EventName,
        request: Request,
        command_id: CommandId = None,
        requested_by: RequestedBy = None,
    ) -> Done:
        """Raise an event; the body is its data."""
        del component
        with _as_dapr("ERR_RAISE_EVENT_WORKFLOW"):
            await cases.raise_event(instance_id, event_name, await request.body(), command_id, requested_by)
        return Done()

    _add_plain(router, cases)
    return router


def _add_plain(router: APIRouter, cases: UseCases) -> None:
    """The four that ignore their body."""

    def accepted(path: str, *statuses: int) -> Callable[[Route], Route]:
        return router.post(f"/{{instance_id:segment}}/{path}", status_code=202, responses=errors(*statuses))

    @accepted("pause", 400, 500)
    async def pause(
        component: Component, instance_id: InstanceId, command_id: CommandId = None, requested_by: RequestedBy = None
    ) -> Done:
        """Suspend the instance until resumed."""
        del component
        with _as_dapr("ERR_PAUSE_WORKFLOW"):
            await cases.pause(instance_id, command_id, requested_by)
        return Done()

    @accepted("resume", 400, 500)
    async def resume(
        component: Component, instance_id: InstanceId, command_id: CommandId = None, requested_by: RequestedBy = None
    ) -> Done:
        """End a pause."""
        del component
        with _as_dapr("ERR_RESUME_WORKFLOW"):
            await cases.resume(instance_id, command_id, requested_by)
        return Done()

    @accepted("terminate", 400, 404, 500)
    async def terminate(
        component: Component, instance_id: InstanceId, command_id: CommandId = None, requested_by: RequestedBy = None
    ) -> Done:
        """End the instance and its children now."""
        del component
        with _as_dapr("ERR_TERMINATE_WORKFLOW", unknown_is_404=True):
            await cases.terminate(instance_id, command_id, requested_by)
        return Done()

    @accepted("purge", 400, 404, 500)
    async def purge(
        component: Component, instance_id: InstanceId, command_id: CommandId = None, requested_by: RequestedBy = None
    ) -> Done:
        """Forget a finished instance and its children."""
        del component
        with _as_dapr("ERR_PURGE_WORKFLOW", unknown_is_404=True):
            await cases.purge(instance_id, command_id, requested_by)
        return Done()


def _shown(known: InstanceSnapshot) -> DaprWorkflow:
    return DaprWorkflow.model_validate(
        {
            "instanceID": known.instance_id,
            "workflowName": known.name,
            "createdAt": rfc3339(known.created_at_us),
            "lastUpdatedAt": rfc3339(known.updated_at_us),
            "runtimeStatus": known.status,
            "serializedOutput": known.output or None,
            "properties": dapr_properties(WorkflowState.from_snapshot(known)),
        }
    )
