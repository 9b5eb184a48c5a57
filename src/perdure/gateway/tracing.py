"""The caller's W3C trace context: what a route sends to the engine goes on in its trace."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from perdure.telemetry.propagation import context_in
from perdure.telemetry.requests import attached

__all__ = ["TraceContextOfCaller"]

NAMES = (b"traceparent", b"tracestate")


class TraceContextOfCaller:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["headers"] if scope["type"] == "http" else ()
        found = context_in(tuple((name.decode(), value) for name, value in headers if name in NAMES))
        with attached(found):
            await self._app(scope, receive, send)
