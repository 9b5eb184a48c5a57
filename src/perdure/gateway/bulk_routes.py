"""Routes that act on every instance a filter finds, and the probes."""

from __future__ import annotations

import dataclasses

from fastapi import APIRouter

from perdure.gateway.descriptions import errors
from perdure.gateway.models import BulkAnswer, Health, PurgeMany, TerminateMany
from perdure.gateway.parameters import RequestedBy
from perdure.gateway.readiness import Readiness
from perdure.gateway.use_cases import UseCases

__all__ = ["bulk_router", "probe_router"]


def bulk_router(cases: UseCases) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["Perdure"])

    @router.post("/instances:terminate", responses=errors(400, 413))
    async def terminate_many(body: TerminateMany, requested_by: RequestedBy = None) -> BulkAnswer:
        """Terminate the active instances that fit; without any condition it is refused."""
        found = await cases.terminate_many(body.where(), body.output, body.recursive, body.limit, requested_by)
        return BulkAnswer(**dataclasses.asdict(found))

    @router.post("/instances:purge", responses=errors(400, 413))
    async def purge_many(body: PurgeMany, requested_by: RequestedBy = None) -> BulkAnswer:
        """Purge the finished instances that fit; without any condition it is refused."""
        found = await cases.purge_many(body.where(), body.recursive, body.limit, requested_by)
        return BulkAnswer(**dataclasses.asdict(found))

    return router


def probe_router(cases: UseCases) -> APIRouter:
    router = APIRouter(tags=["Probes"])
    readiness = Readiness(cases.check)

    @router.get("/healthz")
    async def health() -> Health:
        """The gateway is alive."""
        return Health()

    @router.get("/readyz", responses=errors())
    async def ready() -> Health:
        """The engine's log and store can be reached, or could be within the last second."""
        await readiness.check()
        return Health()

    return router
