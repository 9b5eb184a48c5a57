"""Our own routes, /v1: every verb of the client, with a status that says what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request

from perdure.client.wire import instance_body
from perdure.core.replies import InstanceSnapshot
from perdure.gateway.descriptions import JSON_BODY, errors
from perdure.gateway.leaving import while_there
from perdure.gateway.models import Done, History, Instance, InstancePage, ListQuery, Moment, StartAnswer
from perdure.gateway.parameters import CommandId, EventName, InstanceId, RequestedBy, WorkflowName
from perdure.gateway.use_cases import UseCases

__all__ = ["WAIT_SECONDS_MAX", "native_router"]

WAIT_SECONDS_MAX = 60
"""Of one long poll; proxies cut longer ones."""

Route = TypeVar("Route", bound=Callable[..., Any])
Recursive = Annotated[bool, Query(description="Its children, too.")]
NewId = Annotated[str | None, Query(description="Letters, digits, - and _, at most 64. Else one is made.")]


def native_router(cases: UseCases) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["Perdure"])
    _add_start(router, cases)
    _add_reads(router, cases)
    _add_commands(router, cases)
    return router


def _add_start(router: APIRouter, cases: UseCases) -> None:
    @router.post(
        "/workflows/{name:segment}/start", status_code=202, responses=errors(400, 404, 409, 413),
        openapi_extra=JSON_BODY,
    )  # fmt: skip
    async def start(
        name: WorkflowName,
        request: Request,
        instance_id: NewId = None,
        start_at: Annotated[Moment | None, Query(description="Not before.")] = None,
        rerun_of: Annotated[str, Query(max_length=512, description="Noted in the history.")] = "",
        command_id: CommandId = None,
        requested_by: RequestedBy = None,
    ) -> StartAnswer:
        """Start a workflow; the body is its input."""
        started = await cases.start(
            name, await request.body(), instance_id=instance_id, command_id=command_id, requested_by=requested_by,
            start_at=start_at, rerun_of=rerun_of,
        )  # fmt: skip
        return StartAnswer(instanceID=started)

    @router.post("/instances/{instance_id:segment}/rerun", status_code=202, responses=errors(400, 404, 409))
    async def rerun(
        instance_id: InstanceId,
        new_instance_id: NewId = None,
        command_id: CommandId = None,
        requested_by: RequestedBy = None,
    ) -> StartAnswer:
        """Start the same workflow with the same input under a new ID."""
        started = await cases.rerun(instance_id, new_instance_id, command_id, requested_by)
        return StartAnswer(instanceID=started)


def _add_reads(router: APIRouter, cases: UseCases) -> None:
    @router.get("/instances", responses=errors(400))
    async def list_instances(query: Annotated[ListQuery, Query()]) -> InstancePage:
        """Instances, newest first, from the history store: usually less than half a second behind."""
        found, following = await cases.list(query.where(), query.limit, query.page)
        return InstancePage(instances=[_shown(each) for each in found], next=following)

    @router.get("/instances/{instance_id:segment}", responses=errors(400, 404))
    async def get(instance_id: InstanceId) -> Instance:
        """The instance as its owner has it now."""
        return _shown(await cases.get(instance_id))

    @router.get("/instances/{instance_id:segment}/describe", responses=errors(400, 404))
    async def describe(instance_id: InstanceId) -> Instance:
        """With `detail` (what it awaits and since when, attempts, last failure, buffered events), and with how its
        partition stands: `owner`, `lag`, `storeLag`."""
        return _shown(await cases.get(instance_id, detail=True))

    @router.get("/instances/{instance_id:segment}/history", responses=errors(400, 404))
    async def history(instance_id: InstanceId) -> History:
        """The events of the latest run and generation, from the history store; the last ones may be on their way."""
        return History(instanceID=instance_id, events=list(await cases.history(instance_id)))

    @router.get("/instances/{instance_id:segment}/wait", responses=errors(400, 404, 408))
    async def wait(
        request: Request,
        instance_id: InstanceId,
        until: Literal["started", "completed"] = "completed",
        timeout: Annotated[float, Query(ge=0, le=WAIT_SECONDS_MAX, allow_inf_nan=False, description="Seconds.")] = 30,  # noqa: ASYNC109
    ) -> Instance:
        """Wait until it has started or ended (completed, failed or terminated); 408 if that takes longer: ask again."""
        return _shown(await while_there(request, cases.wait(instance_id, until, timeout)))


def _add_commands(router: APIRouter, cases: UseCases) -> None:
    def accepted(path: str, *statuses: int, **more: Any) -> Callable[[Route], Route]:
        return router.post(
            f"/instances/{{instance_id:segment}}/{path}", status_code=202, responses=errors(*statuses), **more
        )

    @accepted("raise-event/{event_name:segment}", 400, 404, 409, 413, 429, openapi_extra=JSON_BODY)
    async def raise_event(
        instance_id: InstanceId,
        event_name: EventName,
        request: Request,
        command_id: CommandId = None,
        requested_by: RequestedBy = None,
    ) -> Done:
        """Raise an event; the body is its data. It is buffered until waited for."""
        await cases.raise_event(instance_id, event_name, await request.body(), command_id, requested_by)
        return Done()

    @accepted("pause", 400, 404, 409)
    async def pause(instance_id: InstanceId, command_id: CommandId = None, requested_by: RequestedBy = None) -> Done:
        """Suspend the instance until resumed."""
        await cases.pause(instance_id, command_id, requested_by)
        return Done()

    @accepted("resume", 400, 404, 409)
    async def resume(instance_id: InstanceId, command_id: CommandId = None, requested_by: RequestedBy = None) -> Done:
        """End a pause; a stalled instance is tried again."""
        await cases.resume(instance_id, command_id, requested_by)
        return Done()

    @accepted("terminate", 400, 404, 409, 413, openapi_extra=JSON_BODY)
    async def terminate(
        instance_id: InstanceId,
        request: Request,
        recursive: Recursive = True,
        command_id: CommandId = None,
        requested_by: RequestedBy = None,
    ) -> Done:
        """End the instance now; the body, if any, is its output."""
        body = await request.body()
        await cases.terminate(instance_id, command_id, requested_by, body=body, recursive=recursive)
        return Done()

    @accepted("purge", 400, 404, 409)
    async def purge(
        instance_id: InstanceId,
        recursive: Recursive = True,
        command_id: CommandId = None,
        requested_by: RequestedBy = None,
    ) -> Done:
        """Forget a finished instance."""
        await cases.purge(instance_id, command_id, requested_by, recursive=recursive)
        return Done()


def _shown(known: InstanceSnapshot) -> Instance:
    return Instance.model_validate(instance_body(known))
