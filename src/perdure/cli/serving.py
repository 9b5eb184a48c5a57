"""The process of `perdure dev`.

The order is the law. Up: the App, the engine, the gateway, then the line that says where it is, so that whoever has
read the line is answered. Down: the gateway finishes what it is answering, then the engine drains and frees the file.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

from pydantic import ValidationError

from perdure.cli.exits import Conflict, Unusable, UsageError
from perdure.cli.loading import load_app
from perdure.cli.output import note, print_fields, print_json, print_line
from perdure.client.client import AsyncWorkflowClient
from perdure.embedding import EmbeddedEngine
from perdure.gateway.http import create_app
from perdure.gateway.server import AddressInUse, GatewayServer
from perdure.gateway.settings import GatewaySettings
from perdure.workflow.app import App
from perdure.workflow.guard import Guard

__all__ = ["Serving", "serve"]

WATCH_SECONDS = 0.5
"""How often the engine is asked whether it has failed. A signal is noticed at once."""


@dataclass(slots=True, frozen=True)
class Serving:
    """What to serve, and where."""

    target: str
    host: str
    port: int
    database: Path
    guard: Literal["warn", "strict", "off"]
    retain: str = ""


def serve(serving: Serving, *, as_json: bool) -> None:
    """Returns when SIGINT or SIGTERM has ended it. Raises UsageError, Conflict, Unusable, DatabaseInUse, …"""
    settings = _settings(serving)
    app = load_app(serving.target)
    with _signals() as stopping:
        engine = _engine(serving, app)
        engine.start()
        try:
            with _listening(engine, app, settings) as url:
                _announce(serving, app, url, as_json=as_json)
                _watch(engine, stopping)
                note("stopping; activities that run may end first. Once more, and it ends at once")
        finally:
            engine.stop()


def _engine(serving: Serving, app: App) -> EmbeddedEngine:
    try:
        return EmbeddedEngine(app, serving.database, retain=serving.retain, watch=Guard(serving.guard).watch)
    except ValueError as error:
        raise UsageError(f"--retain cannot be: {error}") from None


def _settings(serving: Serving) -> GatewaySettings:
    try:
        return GatewaySettings(host=serving.host, port=serving.port)
    except ValidationError as error:
        raise UsageError("; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())) from None


@contextmanager
def _listening(engine: EmbeddedEngine, app: App, settings: GatewaySettings) -> Iterator[str]:
    """The gateway, in the engine's own loop: a request reaches the log without changing threads."""
    server = GatewayServer(create_app(AsyncWorkflowClient(engine.transport, app=app), settings=settings), settings)
    try:
        engine.portal.call(server.start)
    except AddressInUse as error:
        raise Conflict(str(error)) from None
    try:
        yield server.url
    finally:
        engine.portal.call(_stop, server, engine)


async def _stop(server: GatewayServer, engine: EmbeddedEngine) -> None:
    """Long polls would keep the port open until they time out: their transport lets them go, with an answer."""
    await asyncio.gather(server.stop(), engine.transport.close())


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """The first SIGINT or SIGTERM sets the event; a second one ends the process as if nobody listened."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        stopping.set()
        signal.signal(number, signal.SIG_DFL)

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _watch(engine: EmbeddedEngine, stopping: threading.Event) -> None:
    """Until told to stop. Raises Unusable when the engine cannot go on."""
    while not stopping.wait(WATCH_SECONDS):
        running = engine.engine
        failure = (running.failure or running.orchestrator.failure) if running is not None else None
        if failure is not None:
            raise Unusable(f"the engine cannot go on: {failure}") from failure


def _announce(serving: Serving, app: App, url: str, *, as_json: bool) -> None:
    database = str(serving.database.resolve())
    workflows, activities = sorted(app.workflows), sorted(app.activities)
    if as_json:
        where = {"url": url, "database": database, "pid": os.getpid(), "guard": serving.guard}
        print_json({**where, "workflows": workflows, "activities": activities}, indent=None)
        return
    print_line(f"perdure serves {serving.target}")
    print_fields(
        [
            ("gateway", url),
            ("database", database),
            ("workflows", ", ".join(workflows) or f"none: {serving.target} has no @app.workflow"),
            ("activities", ", ".join(activities)),
            ("guard", serving.guard),
        ]
    )
    print_line("Ctrl-C stops it; everything is kept, and the next start goes on.")
