"""Errors over HTTP: every one is {"errorCode", "message"}, whoever raised it.

The engine's rejections have their status and code in `perdure.client.wire.CODES`; the rest is here.
"""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from perdure.client.errors import EngineStopped, EngineUnavailable, InstanceIdTooLong, reason_of
from perdure.client.wire import CODES
from perdure.core.errors import PayloadError, PerdureError
from perdure.ports.errors import PortError

__all__ = ["Problem", "add_handlers", "answer", "problem_of"]

log = structlog.get_logger(__name__)

PATH_CHARS_TOLD = 200

_STATUS_CODES = {404: "ERR_NOT_FOUND", 405: "ERR_METHOD_NOT_ALLOWED", 413: "ERR_PAYLOAD_TOO_LARGE"}


class Problem(HTTPException):
    """A request that fails, with its error code. An HTTPException, because FastAPI lets only those pass."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, message)
        self.code = code


def problem_of(error: Exception) -> Problem:
    """The problem that an error of the client's is; ERR_INTERNAL without a word for what nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, InstanceIdTooLong):
        return Problem(400, "ERR_INSTANCE_ID_TOO_LONG", str(error))
    if isinstance(error, PerdureError) and reason_of(error) in CODES:
        return Problem(*CODES[reason_of(error)], str(error))
    if isinstance(error, PayloadError):
        return Problem(400, "ERR_MALFORMED_REQUEST", str(error))
    if isinstance(error, TimeoutError):
        return Problem(504, "ERR_REQUEST_TIMEOUT", str(error))
    if isinstance(error, PortError | EngineStopped | EngineUnavailable):
        return Problem(503, "ERR_ENGINE_UNAVAILABLE", str(error))
    log.error("a request failed unexpectedly", exc_info=error)
    return Problem(500, "ERR_INTERNAL", "an unexpected error: the gateway's log tells more")


def answer(problem: Problem) -> JSONResponse:
    body = {"errorCode": problem.code, "message": problem.detail}
    return JSONResponse(body, problem.status_code, headers=problem.headers)


def add_handlers(app: FastAPI) -> None:
    """Give every error of FastAPI, of Starlette and of ours the one shape."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(PerdureError, _ours)
    app.add_exception_handler(TimeoutError, _ours)
    app.add_exception_handler(Exception, _ours)


async def _http(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Problem):
        return answer(error)
    assert isinstance(error, HTTPException)  # noqa: S101 - that is what it is registered for
    code = _STATUS_CODES.get(error.status_code, "ERR_MALFORMED_REQUEST")
    path = request.scope["path"][:PATH_CHARS_TOLD]  # request.url would read the query, too, which need not be UTF-8
    text = {404: f"no route {request.method} {path}", 405: f"{request.method} is not allowed here"}
    body = {"errorCode": code, "message": text.get(error.status_code, str(error.detail))}
    return JSONResponse(body, error.status_code, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, RequestValidationError)  # noqa: S101 - that is what it is registered for
    told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
    return answer(Problem(400, "ERR_MALFORMED_REQUEST", told))


async def _ours(request: Request, error: Exception) -> JSONResponse:
    del request
    return answer(problem_of(error))
