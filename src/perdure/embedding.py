"""The whole engine in this process, on one SQLite file: all roles, in a thread of their own.

    with perdure.embedded(app, path="orders.db") as client:
        instance_id = client.schedule_new_workflow(order_workflow, input={"id": 7})
        print(client.wait_for_workflow_completion(instance_id).serialized_output)

`async with` gives the asyncio client instead. The file holds everything: a later start goes on where this one ended,
also after a kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import structlog

from perdure.assembly import Engine, EngineSettings, sqlite_ports
from perdure.client.client import AsyncWorkflowClient
from perdure.client.portal import LoopPortal
from perdure.client.relayed import RelayedWorkflowClient
from perdure.client.running import register, unregister
from perdure.client.sync import WorkflowClient
from perdure.client.transport import Transport
from perdure.core.ages import read_ages
from perdure.core.errors import PerdureError
from perdure.core.names import Topics
from perdure.roles.activities import ActivitySettings
from perdure.roles.orchestrator.decider import Watch
from perdure.telemetry.logs import configure_logs
from perdure.workflow.app import App

__all__ = ["DEFAULT_PATH", "EmbeddedEngine", "embedded", "embedded_settings"]

log = structlog.get_logger("perdure.embedding")

DEFAULT_PATH = Path("perdure.db")


def embedded_settings() -> EngineSettings:
    """One process serves everything: there are no other workers to try an unknown activity on."""
    return EngineSettings(activities=ActivitySettings(unregistered_window_s=0.0))


def embedded(
    app: App,
    path: str | os.PathLike[str] | None = None,
    *,
    settings: EngineSettings | None = None,
    retain: str = "",
    watch: Watch | None = None,
    after_commit: Callable[[int], None] | None = None,
) -> EmbeddedEngine:
    """An engine on the file `path` (default ./perdure.db), to be used with `with` or `async with`.

    `retain` tells how long ended instances are kept, by status: "COMPLETED=30d,FAILED=90d"; "" keeps them for ever.
    `watch` wraps each resume of an orchestrator (the dev-mode guard); `after_commit` is called, in the write thread,
    with the number of each commit (for tests).
    """
    return EmbeddedEngine(app, path, settings=settings, retain=retain, watch=watch, after_commit=after_commit)


class EmbeddedEngine:
    """`start` and `stop`, or a context manager. Clients in this process find it by themselves while it runs."""

    portal: LoopPortal
    transport: Transport

    def __init__(
        self,
        app: App,
        path: str | os.PathLike[str] | None = None,
        *,
        settings: EngineSettings | None = None,
        retain: str = "",
        watch: Watch | None = None,
        after_commit: Callable[[int], None] | None = None,
    ) -> None:
        if not isinstance(app, App):
            hint = " (its .app is one)" if isinstance(getattr(app, "app", None), App) else ""
            raise TypeError(f"an engine runs a perdure.App, not {type(app).__name__}{hint}")
        self.app = app
        self.path = Path(path if path is not None else DEFAULT_PATH)
        self._settings = settings or embedded_settings()
        if retain:  # ValueError tells what is wrong with it
            kept = dataclasses.replace(self._settings.orchestrator, retain=read_ages(retain))
            self._settings = dataclasses.replace(self._settings, orchestrator=kept)
        self._watch = watch
        self._after_commit = after_commit
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self.engine: Engine | None = None

    # -- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Returns when the engine serves. Raises DatabaseInUse, DatabaseDamaged and what else keeps it from starting."""
        if self._thread is not None:
            raise PerdureError(f"the engine on {self.path} is running already")
        configure_logs()
        log.info("perdure is starting, everything is kept in one file", path=str(self.path.resolve()))
        _warn_of_hash_seed()
        self._failure = None
        started = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(started,), name="perdure-engine", daemon=True)
        self._thread.start()
        started.wait()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self._thread.join()
            self._thread = None
            raise failure
        register(self)

    def stop(self) -> None:
        """Let running activities end (bounded), write what is left, free the file. Twice is harmless."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        unregister(self)
        self.portal.close()
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(stop.set)
        thread.join()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def client(self) -> WorkflowClient:
        """A blocking client of this engine."""
        return WorkflowClient(AsyncWorkflowClient(self.transport, app=self.app), self.portal)

    def async_client(self) -> RelayedWorkflowClient:
        """An asyncio client of this engine, for any event loop."""
        return RelayedWorkflowClient(AsyncWorkflowClient(self.transport, app=self.app), self.portal)

    def __enter__(self) -> WorkflowClient:
        self.start()
        return self.client()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> RelayedWorkflowClient:
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:  # the thread goes on whatever we do: what it started must not stay behind
            await asyncio.wait([starting])
            await asyncio.to_thread(self.stop)
            raise
        return self.async_client()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopping = asyncio.ensure_future(asyncio.to_thread(self.stop))
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:  # when this returns the file is free, cancelled or not
            await asyncio.wait([stopping])
            raise

    # -- the engine's thread ----------------------------------------------------------------------------------

    def _main(self, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that starts or stops us
            self._failure = error
        finally:
            started.set()

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        ports = await sqlite_ports(self.path, Topics(self._settings.namespace), after_commit=self._after_commit)
        engine = Engine(self.app, ports, self._settings, watch=self._watch)
        await engine.start()
        self.engine, self.transport, self.portal = engine, engine.transport, LoopPortal(self._loop)
        started.set()
        try:
            await self._stop.wait()
        finally:
            await engine.stop()


def _warn_of_hash_seed() -> None:
    if sys.flags.hash_randomization and os.environ.get("PYTHONHASHSEED", "random") == "random":
        log.debug(
            "the order of sets differs between processes: do not iterate over a set in an orchestrator, "
            "or start Python with PYTHONHASHSEED=0"
        )
