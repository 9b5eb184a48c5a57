"""`App`: the workflows and activities of an application, by name. A value: nothing is registered globally.

An application makes one, decorates its functions with it and hands it to whatever runs them
(`perdure dev --app module:app`, `embedded(app)`, the services). Two Apps in one process do not meet.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from perdure.core.limits import NAME_BYTES_MAX
from perdure.workflow.fingerprint import code_fingerprint
from perdure.workflow.signatures import is_declared, qualified_name, signature_of

__all__ = ["ActivityDef", "App", "WorkflowDef", "alternate_name"]

F = TypeVar("F", bound=Callable[..., Any])

_NAME_ATTRIBUTE = "__perdure_name__"


@dataclass(slots=True, frozen=True)
class WorkflowDef:
    """A registered orchestrator. `input_type` and `output_type` are None where no annotation resolves.

    `kind` says what the function is declared as. A "plain" one returns without yielding, or hands out a
    generator that another function made (a decorator does that): look at what the call returns.
    """

    name: str
    fn: Callable[..., Any]
    kind: Literal["generator", "coroutine", "plain"]
    input_type: Any
    output_type: Any
    takes_input: bool  # called as fn(ctx, input), else as fn(ctx)
    fingerprint: str


@dataclass(slots=True, frozen=True)
class ActivityDef:
    """A registered activity. `input_type` and `output_type` are None where no annotation resolves."""

    name: str
    fn: Callable[..., Any]
    is_async: bool  # runs on the event loop, else in the thread pool
    input_type: Any
    output_type: Any
    takes_input: bool


class App:
    """A registry of workflows and activities.

    Functions take `(ctx)` or `(ctx, input)`. `default_activity_timeout` is the start-to-close time-out of
    activities called without one; None: no time-out.
    """

    def __init__(self, *, default_activity_timeout: timedelta | None = None) -> None:
        if default_activity_timeout is not None and default_activity_timeout <= timedelta(0):
            raise ValueError("default_activity_timeout must be longer than zero; None means no time-out")
        self.default_activity_timeout = default_activity_timeout
        self._workflows: dict[str, WorkflowDef] = {}
        self._activities: dict[str, ActivityDef] = {}
        self._names: dict[object, str] = {}  # a function's identity -> the first name it got
        self.workflows: Mapping[str, WorkflowDef] = MappingProxyType(self._workflows)
        self.activities: Mapping[str, ActivityDef] = MappingProxyType(self._activities)

    @typing.overload
    def workflow(self, fn: F, /) -> F: ...
    @typing.overload
    def workflow(self, fn: None = None, /, *, name: str | None = None) -> Callable[[F], F]: ...
    def workflow(self, fn: Any = None, /, *, name: str | None = None) -> Any:
        """Register the decorated orchestrator: `@app.workflow` or `@app.workflow(name="x")`."""
        return _decorate(self.add_workflow, fn, name)

    @typing.overload
    def activity(self, fn: F, /) -> F: ...
    @typing.overload
    def activity(self, fn: None = None, /, *, name: str | None = None) -> Callable[[F], F]: ...
    def activity(self, fn: Any = None, /, *, name: str | None = None) -> Any:
        """Register the decorated activity: `@app.activity` or `@app.activity(name="x")`."""
        return _decorate(self.add_activity, fn, name)

    def add_workflow(self, fn: Callable[..., Any], *, name: str | None = None) -> WorkflowDef:
        """Register an orchestrator: a generator function, an `async def`, or one that returns without
        yielding.

        The same function under the same name again is harmless. Raises ValueError for a name that is taken by
        another function, empty or too long, and for a lambda without a name; TypeError for what cannot be
        one.
        """
        name = _registered_name(fn, name, "a workflow")
        if is_declared(inspect.isasyncgenfunction, fn):
            raise TypeError(f"workflow {name!r} is an `async def` that yields: await the tasks instead")
        self._refuse_taken("workflow", name, fn)
        kind: Literal["generator", "coroutine", "plain"] = "plain"
        if is_declared(inspect.isgeneratorfunction, fn):
            kind = "generator"
        elif is_declared(inspect.iscoroutinefunction, fn):
            kind = "coroutine"
        takes_input, input_type, output_type = signature_of(fn, f"workflow {name!r}")
        definition = WorkflowDef(name, fn, kind, input_type, output_type, takes_input, code_fingerprint(fn))
        self._names.setdefault(_identity(fn), name)
        return self._workflows.setdefault(name, definition)

    def add_activity(self, fn: Callable[..., Any], *, name: str | None = None) -> ActivityDef:
        """Register an activity: a plain function or an `async def`. Raises as `add_workflow` does."""
        name = _registered_name(fn, name, "an activity")
        if is_declared(inspect.isasyncgenfunction, fn) or is_declared(inspect.isgeneratorfunction, fn):
            raise TypeError(f"activity {name!r} yields: an activity returns its result; only workflows yield")
        self._refuse_taken("activity", name, fn)
        takes_input, input_type, output_type = signature_of(fn, f"activity {name!r}")
        is_async = is_declared(inspect.iscoroutinefunction, fn)
        definition = ActivityDef(name, fn, is_async, input_type, output_type, takes_input)
        self._names.setdefault(_identity(fn), name)
        return self._activities.setdefault(name, definition)

    def name_of(self, target: Callable[..., Any] | str) -> str:
        """The name to ask for: a string as it is; a function's registered name, else the name it would get.

        Of a function registered under several names, the first. Raises ValueError for a bad name or an
        unregistered lambda, TypeError for anything else.
        """
        if isinstance(target, str):
            return target if target.isascii() and 0 < len(target) <= NAME_BYTES_MAX else _checked(target)
        return self._names.get(_identity(target)) or _registered_name(target, None, "a workflow or activity")

    def _refuse_taken(self, kind: Literal["workflow", "activity"], name: str, fn: Callable[..., Any]) -> None:
        same: Mapping[str, WorkflowDef | ActivityDef] = self._workflows
        other: Mapping[str, WorkflowDef | ActivityDef] = self._activities
        if kind == "activity":
            same, other = other, same
        taken = same.get(name)
        if taken is not None and _identity(taken.fn) != _identity(fn):
            raise ValueError(
                f"{kind} {name!r} is registered already, with another function ({qualified_name(taken.fn)}): "
                f"give {qualified_name(fn)} another name"
            )
        # One function as both would make name_of ambiguous, and is always a slip of the decorator.
        if any(_identity(definition.fn) == _identity(fn) for definition in other.values()):
            raise ValueError(f"{qualified_name(fn)} is registered as the other kind: it cannot be {kind} {name!r} too")


def _identity(fn: object) -> object:
    """One function, one identity; a bound method is a new object at every access. Definitions keep them
    alive.
    """
    return (id(fn.__self__), id(fn.__func__)) if inspect.ismethod(fn) else id(fn)


def alternate_name(name: str | None = None) -> Callable[[F], F]:
    """Dapr's decorator: the name a function gets wherever it is registered without one."""

    def mark(fn: F) -> F:
        if name is not None:
            setattr(fn, _NAME_ATTRIBUTE, _checked(name))
        return fn

    return mark


def _decorate(add: Callable[..., object], fn: Any, name: str | None) -> Any:
    if isinstance(fn, str):
        raise TypeError(f"write name={fn!r}: the decorator takes the name as a keyword")
    if fn is not None:
        add(fn, name=name)
        return fn

    def register(decorated: F) -> F:
        add(decorated, name=name)
        return decorated

    return register


def _registered_name(fn: object, name: str | None, what: str) -> str:
    if not callable(fn) or inspect.isclass(fn):
        raise TypeError(f"{what} is a function, not {fn!r}")
    if name is None:
        name = getattr(fn, _NAME_ATTRIBUTE, None) or getattr(fn, "__name__", None)
    if name is None or name == "<lambda>":
        raise ValueError(f"{qualified_name(fn)} has no name of its own: register it with name=")
    return _checked(name)


def _checked(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"a name is a text that is not empty, not {name!r}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"the name {name!r} is not valid Unicode") from None
    if size > NAME_BYTES_MAX:
        raise ValueError(f"the name {name[:32]!r}… has {size} bytes; the limit is {NAME_BYTES_MAX}")
    return name
