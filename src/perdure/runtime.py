"""`WorkflowRuntime`: Dapr's way to write a program. An App and an embedded engine behind Dapr's names."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Self, TypeVar

from perdure.core.errors import PerdureError
from perdure.embedding import EmbeddedEngine
from perdure.workflow.app import App

__all__ = ["WorkflowRuntime"]

F = TypeVar("F", bound=Callable[..., Any])


class WorkflowRuntime:
    """Register, `start`, `shutdown`. Where Dapr connects to a sidecar, this runs the engine in the process.

    `path`: the database file, else PERDURE_DB, else ./perdure.db. `host` and `port` are accepted for Dapr's sake; a
    runtime that would have to connect elsewhere says so.
    """

    def __init__(
        self,
        host: str | None = None,
        port: str | int | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        app: App | None = None,
    ) -> None:
        if host is not None or port is not None:
            raise NotImplementedError(
                "WorkflowRuntime(host, port): there is no sidecar to connect to; the engine runs in this process. Use "
                "WorkflowRuntime(path=…), or run workers as services"
            )
        self.app = app if app is not None else App()
        self._path = path
        self._engine: EmbeddedEngine | None = None

    def register_workflow(self, fn: Callable[..., Any], *, name: str | None = None) -> None:
        self.app.add_workflow(fn, name=name)

    def register_activity(self, fn: Callable[..., Any], *, name: str | None = None) -> None:
        self.app.add_activity(fn, name=name)

    def register_versioned_workflow(self, fn: Callable[..., Any], **_: Any) -> None:
        raise NotImplementedError(
            f"register_versioned_workflow({getattr(fn, '__name__', fn)!r}): versioned workflows are not built yet; register "
            "the changed workflow under a new name"
        )

    def workflow(self, fn: F | None = None, /, *, name: str | None = None) -> Any:
        """Decorator: `@runtime.workflow` or `@runtime.workflow(name="x")`."""
        return self.app.workflow(name=name) if fn is None else self.app.workflow(fn)

    def activity(self, fn: F | None = None, /, *, name: str | None = None) -> Any:
        """Decorator: `@runtime.activity` or `@runtime.activity(name="x")`."""
        return self.app.activity(name=name) if fn is None else self.app.activity(fn)

    def start(self) -> None:
        """Returns when the engine serves."""
        if self._engine is not None:
            raise PerdureError("the runtime is started already")
        path = self._path if self._path is not None else os.environ.get("PERDURE_DB") or None
        engine = EmbeddedEngine(self.app, path)
        engine.start()
        self._engine = engine

    def wait_for_worker_ready(self, timeout: float = 30.0) -> bool:  # noqa: ARG002 - Dapr's signature
        """True once started: `start` returns when everything serves."""
        return self._engine is not None

    def shutdown(self) -> None:
        """Drain and free the file. Twice is harmless; the runtime can be started again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
