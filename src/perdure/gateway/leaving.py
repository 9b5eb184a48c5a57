"""Callers that leave. Who waits for an answer that nobody reads any more takes the place of a caller.

For reads only: a command that was begun is finished, whoever is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from perdure.gateway.problems import Problem

__all__ = ["while_there"]

T = TypeVar("T")


async def while_there(request: Request, asked: Coroutine[Any, Any, T]) -> T:
    """What was asked, or a Problem that nobody gets once the caller is gone. Reads the body, for what comes after it."""
    answer = asyncio.ensure_future(asked)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            gone.result()  # a body that is too large is told so
            raise Problem(408, "ERR_WAIT_TIMEOUT", "the caller has left")
        return answer.result()
    finally:
        for task in (answer, gone):
            task.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
