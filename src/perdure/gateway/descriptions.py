"""What OpenAPI says beyond what FastAPI finds by itself: bodies that are any JSON, and errors."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from perdure.client.http_transport import API_TOKEN_HEADER
from perdure.gateway.gate import OPEN_PATHS
from perdure.gateway.models import ErrorBody

__all__ = ["JSON_BODY", "describe", "errors"]

JSON_BODY: Final[dict[str, Any]] = {"requestBody": {"required": False, "content": {"application/json": {"schema": {}}}}}
"""A body of any JSON, or none: read raw, so FastAPI does not see it."""

_MEANINGS: Final = {
    400: "Malformed: ERR_MALFORMED_REQUEST, ERR_INSTANCE_ID_INVALID, ERR_INSTANCE_ID_TOO_LONG, …_NAME_MISSING, …",
    401: "No API token, or a wrong one: ERR_UNAUTHORIZED",
    403: "Without an API token only this machine is answered: ERR_FORBIDDEN",
    404: "Unknown: ERR_INSTANCE_ID_NOT_FOUND, ERR_WORKFLOW_NOT_REGISTERED, ERR_DEAD_LETTER_NOT_FOUND",
    408: "Not so far yet: ERR_WAIT_TIMEOUT",
    409: "Not possible as it stands: ERR_INSTANCE_ALREADY_EXISTS, ERR_INSTANCE_NOT_RUNNING, ERR_DEAD_LETTER_SETTLED, …",
    413: "Over the size limit: ERR_PAYLOAD_TOO_LARGE",
    429: "Too many at once, ask again later: ERR_TOO_MANY_REQUESTS, ERR_TOO_MANY_WAITERS, ERR_EVENT_BUFFER_FULL",
    500: "The verb's code (Dapr's routes), or ERR_INTERNAL",
    503: "The engine cannot be reached: ERR_ENGINE_UNAVAILABLE",
    504: "The engine did not answer in time: ERR_REQUEST_TIMEOUT",
}
_ANYWHERE: Final = (403, 429, 503, 504)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The declaration of these errors, and of those that may happen anywhere."""
    return {
        status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in sorted({*statuses, *_ANYWHERE})
    }


def describe(app: FastAPI, *, guarded: bool) -> None:
    """Let the application describe itself truly: no 422 (ours are 400), and the API token where one is needed."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            app.openapi_schema = _corrected(schema, guarded)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _corrected(schema: dict[str, Any], guarded: bool) -> dict[str, Any]:
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            if guarded and path not in OPEN_PATHS:
                operation["responses"].pop("403", None)
                operation["responses"]["401"] = _error(401)
                operation["security"] = [{"token": []}, {"bearer": []}]
    if guarded:
        schema["components"]["securitySchemes"] = {
            "token": {"type": "apiKey", "in": "header", "name": API_TOKEN_HEADER},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
    return schema


def _error(status: int) -> dict[str, Any]:
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    return {"description": _MEANINGS[status], "content": body}
