"""Whether the engine can be reached, for whoever asks, without a token and as often as they like.

The law: however many ask, the log and the store are asked by one at a time, and once a second. The others are told what
that one was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from perdure.gateway.problems import Problem, problem_of

__all__ = ["Readiness"]

SHARED_SECONDS: Final = 1.0
"""How long an answer holds, good or bad: probes ask less often."""


class Readiness:
    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()  # who leaves while it asks hands its turn on: nothing goes on behind anybody's back
        self._problem: Problem | None = None
        self._holds_until = 0.0

    async def check(self) -> None:
        """Raises the Problem that keeps the engine from being reached."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._holds_until:
                self._problem = await self._asked()
                self._holds_until = loop.time() + SHARED_SECONDS
            problem = self._problem
        if problem is not None:
            raise Problem(
                problem.status_code, problem.code, problem.detail
            )  # one that is shared would hold every asker's frames

    async def _asked(self) -> Problem | None:
        try:
            await self._ask()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are told the same
            return problem_of(error)
        return None
