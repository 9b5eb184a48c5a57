"""A registered workflow as the core drives it (`perdure.core.execution.Code`)."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Generator
from typing import Any

from perdure.core.errors import PayloadError
from perdure.core.scheduler import Scheduler
from perdure.workflow import payloads
from perdure.workflow.app import App, WorkflowDef
from perdure.workflow.context import WorkflowContext

__all__ = ["Library", "WorkflowCode"]


class Library:
    """An App's workflows, by name: `library(name)` is the code, or None."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._codes: dict[str, WorkflowCode] = {}

    def __call__(self, name: str) -> WorkflowCode | None:
        code = self._codes.get(name)
        if code is None:
            definition = self._app.workflows.get(name)
            if definition is None:
                return None
            code = self._codes[name] = WorkflowCode(self._app, definition)
        return code


class WorkflowCode:
    """Begins a workflow's code and encodes what it returns."""

    __slots__ = ("_app", "_definition", "fingerprint")

    def __init__(self, app: App, definition: WorkflowDef) -> None:
        self._app = app
        self._definition = definition
        self.fingerprint = definition.fingerprint

    def begin(self, scheduler: Scheduler, input: str) -> _InContext:
        definition = self._definition
        context = contextvars.Context()
        return _InContext(context, context.run(self._call, definition, WorkflowContext(self._app, scheduler), input))

    def encode_output(self, value: Any) -> str:
        what = f"the output of workflow '{self._definition.name}'"
        try:
            text = payloads.dumps(value)
        except PayloadError as error:
            raise PayloadError(f"{what}: {error}") from None
        payloads.check_size(text, what)
        return text

    @staticmethod
    def _call(definition: WorkflowDef, ctx: WorkflowContext, input: str) -> Any:
        if not definition.takes_input:
            result = definition.fn(ctx)
        else:
            try:
                value = payloads.loads(input, definition.input_type)
            except PayloadError as error:
                raise PayloadError(f"the input of workflow '{definition.name}': {error}") from None
            result = definition.fn(ctx, value)
        if inspect.isgenerator(result) or inspect.iscoroutine(result):
            return result
        return _returned(result)


class _InContext:
    """Drives a generator or coroutine inside one contextvars Context, so that instances do not see each
    other's.
    """

    __slots__ = ("_context", "inner")

    def __init__(self, context: contextvars.Context, inner: Any) -> None:
        self._context = context
        self.inner = inner

    def send(self, value: Any) -> Any:
        return self._context.run(self.inner.send, value)

    def throw(self, error: BaseException) -> Any:
        return self._context.run(self.inner.throw, error)

    def close(self) -> None:
        self._context.run(self.inner.close)


def _returned(value: Any) -> Generator[Any, Any, Any]:
    """The generator of a workflow that returned without yielding."""
    return value
    yield
