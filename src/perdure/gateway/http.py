"""The gateway as an ASGI application."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from perdure.client.client import AsyncWorkflowClient
from perdure.gateway.bulk_routes import bulk_router, probe_router
from perdure.gateway.dapr_routes import VERSIONS, dapr_router
from perdure.gateway.descriptions import describe
from perdure.gateway.gate import Gate
from perdure.gateway.letter_routes import letter_router
from perdure.gateway.native_routes import native_router
from perdure.gateway.problems import add_handlers
from perdure.gateway.settings import GatewaySettings
from perdure.gateway.tracing import TraceContextOfCaller
from perdure.gateway.use_cases import UseCases

__all__ = ["create_app"]

_ABOUT = "Durable workflows over HTTP: Dapr's workflow routes, and every verb of the Perdure client under /v1."


def create_app(client: AsyncWorkflowClient, *, settings: GatewaySettings | None = None) -> FastAPI:
    """An application over a client, which stays the caller's to close. Runs in the client's event loop."""
    settings = settings or GatewaySettings()
    # Interactive documentation would load scripts from elsewhere: /openapi.json is what tools need.
    app = FastAPI(
        title="Perdure", version=_version(), description=_ABOUT, docs_url=None, redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False},  # newer versions make spans of every poll; ours say what was asked
    )  # fmt: skip
    cases = UseCases(client)
    app.include_router(probe_router(cases))
    app.include_router(bulk_router(cases))
    app.include_router(native_router(cases))
    app.include_router(letter_router(cases))
    for prefix, unwraps in VERSIONS.items():
        app.include_router(dapr_router(cases, unwraps=unwraps), prefix=prefix)
    add_handlers(app)
    app.add_middleware(TraceContextOfCaller)
    app.add_middleware(Gate, settings=settings)
    describe(app, guarded=settings.callers.are_known)
    return app


def _version() -> str:
    try:
        return version("perdure")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
