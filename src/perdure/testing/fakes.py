"""Stand-ins for activities. A plain function does, too: it is called like an activity, with (ctx, input) or (ctx)."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from perdure.workflow.activity import ActivityContext
from perdure.workflow.app import ActivityDef, App

__all__ = ["Fake", "call", "fails", "hangs", "returns", "standing_in"]

Real = Callable[[ActivityContext, Any], Awaitable[Any]]


class Fake:
    """A stand-in that may fall back on what it stands for, which is called as (ctx, input)."""

    async def run(self, ctx: ActivityContext, value: Any, real: Real) -> Any:
        """The activity's result."""
        raise NotImplementedError


class _Returns(Fake):
    def __init__(self, value: Any) -> None:
        self._value = value

    async def run(self, ctx: ActivityContext, value: Any, real: Real) -> Any:
        del ctx, value, real
        return copy.deepcopy(self._value)


class _Fails(Fake):
    def __init__(self, times: int | None, error: BaseException | type[BaseException]) -> None:
        self._times = times
        self._error = error

    async def run(self, ctx: ActivityContext, value: Any, real: Real) -> Any:
        if self._times is None or ctx.attempt <= self._times:
            raise self._error
        return await real(ctx, value)


class _Hangs(Fake):
    def __init__(self, times: int | None) -> None:
        self._times = times

    async def run(self, ctx: ActivityContext, value: Any, real: Real) -> Any:
        if self._times is None or ctx.attempt <= self._times:
            await asyncio.get_running_loop().create_future()
        return await real(ctx, value)


def returns(value: Any) -> Fake:
    """A fake that returns this value."""
    return _Returns(value)


def fails(times: int | None = None, error: BaseException | type[BaseException] | None = None) -> Fake:
    """A fake whose first `times` attempts (None: every attempt) of each call fail with `error`; then the real one runs."""
    return _Fails(times, error if error is not None else RuntimeError("this activity was told to fail"))


def hangs(times: int | None = None) -> Fake:
    """A fake whose first `times` attempts (None: every attempt) of each call never return; then the real one runs.

    Its time-out passes as time does: by `env.skip`, or while the test waits for something.
    """
    return _Hangs(times)


def standing_in(name: str, fake: Fake | Callable[..., Any], real: ActivityDef | None) -> ActivityDef:
    """A fake as a definition; types that it does not declare are the real one's."""
    if isinstance(fake, Fake):
        made = ActivityDef(name, _falling_back(name, fake, real), True, None, None, True)
    else:
        made = App().add_activity(fake, name=name)
    if real is None:
        return made
    return replace(
        made,
        input_type=made.input_type if made.input_type is not None else real.input_type,
        output_type=real.output_type,
    )


def _falling_back(name: str, fake: Fake, real: ActivityDef | None) -> Callable[[ActivityContext, Any], Awaitable[Any]]:
    async def run_real(ctx: ActivityContext, value: Any) -> Any:
        if real is None:
            raise LookupError(f"the app has no activity {name!r} for its fake to fall back on")
        result = call(real, ctx, value)
        return await result if inspect.isawaitable(result) else result

    async def run(ctx: ActivityContext, value: Any) -> Any:
        return await fake.run(ctx, value, run_real)

    return run


def call(definition: ActivityDef, ctx: ActivityContext, value: Any) -> Any:
    return definition.fn(ctx, value) if definition.takes_input else definition.fn(ctx)
