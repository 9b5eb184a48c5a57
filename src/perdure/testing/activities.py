"""Activities under test: fakes in their place, and a record of every call.

The kit runs a copy of the App whose activities are wrapped; the App itself is not touched. A fake is called like an
activity, with (ctx, input) or (ctx), and may be an `async def`. Where it annotates no input type, the input is rebuilt as
the real activity's annotation says.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from perdure.testing.clock import VirtualClock
from perdure.testing.fakes import Fake, call, standing_in
from perdure.testing.loop import VirtualLoop
from perdure.workflow.activity import ActivityContext
from perdure.workflow.app import ActivityDef, App

__all__ = ["Activities", "Call"]

Named = Callable[..., Any] | str


@dataclass(slots=True, frozen=True)
class Call:
    """One delivery of an activity to its code, real or fake. `input` is as the code got it, `at` naive UTC."""

    name: str
    input: Any
    attempt: int
    instance_id: str
    task_id: int
    idempotency_key: str
    at: datetime


class Activities:
    """The activities of an environment: replace, restore, and look at the calls."""

    def __init__(self, loop: VirtualLoop, clock: VirtualClock) -> None:
        self._loop = loop
        self._clock = clock
        self._fakes: dict[str, Fake | Callable[..., Any]] = {}
        self._recorded: list[Call] = []
        self._real = App()
        self._copy = App()

    def install(self, app: App) -> App:
        """A copy of `app` whose activities record their calls, the fakes among them."""
        self._real = app
        self._copy = made = App(default_activity_timeout=app.default_activity_timeout)
        made._workflows.update(app._workflows)
        made._names.update(app._names)
        for name in {**app._activities, **self._fakes}:
            self._put(name)
        return made

    def replace(self, activity: Named, fake: Fake | Callable[..., Any]) -> None:
        """From now on `fake` runs instead. Raises ValueError for a name that looks like a slip of the pen."""
        name = self._real.name_of(activity)
        if name not in self._real.activities:
            close = difflib.get_close_matches(name, list(self._real.activities), n=1)
            if close:
                raise ValueError(f"the app has no activity {name!r}: did you mean {close[0]!r}?")
        if not isinstance(fake, Fake) and not callable(fake):
            raise TypeError(f"a fake is called like an activity: for a fixed result use testing.returns({fake!r})")
        self._fakes[name] = fake
        self._put(name)

    def restore(self, activity: Named) -> None:
        """The real activity runs again."""
        name = self._real.name_of(activity)
        self._fakes.pop(name, None)
        self._copy._activities.pop(name, None)
        if name in self._real.activities:
            self._put(name)

    def calls(self, activity: Named | None = None) -> list[Call]:
        """What was called so far, in order; of one activity, or of all."""
        name = None if activity is None else self._real.name_of(activity)
        return [call for call in self._recorded if name is None or call.name == name]

    def clear_calls(self) -> None:
        self._recorded.clear()

    def _put(self, name: str) -> None:
        real = self._real.activities.get(name)
        fake = self._fakes.get(name)
        runs = real if fake is None else standing_in(name, fake, real)
        if runs is not None:
            self._copy._activities[name] = self._watched(runs)

    def _watched(self, definition: ActivityDef) -> ActivityDef:
        async def awaited(ctx: ActivityContext, value: Any) -> Any:
            self._note(definition.name, ctx, value)
            with self._loop.outside():
                return await call(definition, ctx, value)

        def called(ctx: ActivityContext, value: Any) -> Any:
            self._note(definition.name, ctx, value)
            return call(definition, ctx, value)

        return replace(definition, fn=awaited if definition.is_async else called, takes_input=True)

    def _note(self, name: str, ctx: ActivityContext, value: Any) -> None:
        call = Call(
            name, _kept(value), ctx.attempt, ctx.workflow_id, ctx.task_id, ctx.idempotency_key, self._clock.now()
        )
        self._recorded.append(call)


def _kept(value: Any) -> Any:
    """As it was: an activity may change its input."""
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - a stranger's object that cannot be copied is kept as it is
        return value
