"""A service's process, from its settings to its exit.

The order is the law. Up: settings, fixed hash seed, App, probes (alive, not ready), ports, the recorded layout, the
role, then the line that says so. Down, on SIGTERM or SIGINT or a failure: not ready, the role drains, ports close,
probes close. A drain that does not end in its time is cut off: what was not finished is done again by another
process, which is what the log is for.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from perdure.assembly import Ports, kafka_cassandra_ports, relax_collector
from perdure.cli.exits import Conflict, Exit, Unusable
from perdure.cli.loading import load_app
from perdure.gateway.server import AddressInUse
from perdure.ports.errors import PortError
from perdure.services.hash_seed import begin_again_with_fixed_seed
from perdure.services.layout import verify_layout
from perdure.services.library_logs import take_library_logs
from perdure.services.probes import ProbePortInUse, Probes
from perdure.services.roles import ROLES, Role
from perdure.services.samples import Sample, exposition
from perdure.services.settings import HEALTH_PORTS, ServiceSettings, read_gateway_settings, read_settings
from perdure.telemetry.logs import configure_logs
from perdure.workflow.app import App

__all__ = ["Process", "run_service"]

log = structlog.get_logger("perdure.service")

CUT_OFF_SECONDS: Final = 4.0
"""After a drain that overran: for closing what is left. Then the process ends whatever still runs in it."""

OpenPorts = Callable[[ServiceSettings, str, str], Awaitable[Ports]]
Announce = Callable[[Mapping[str, str]], None]


def run_service(name: str, target: str, announce: Announce, **given: object) -> None:
    """Returns when SIGTERM or SIGINT has ended it. Raises SettingsWrong, UsageError, Conflict, Unusable, TimeoutError.

    `name` is one of ROLES, `target` the App as module:attribute ("" where the role needs none).
    """
    settings = read_settings(**given)
    if name == "gateway":
        read_gateway_settings()
    begin_again_with_fixed_seed()
    configure_logs()
    take_library_logs()
    app = load_app(target) if target else App()
    relax_collector()
    asyncio.run(_until_signalled(name, app, settings, announce))


async def _until_signalled(name: str, app: App, settings: ServiceSettings, announce: Announce) -> None:
    loop = asyncio.get_running_loop()
    longest = settings.drain_seconds + CUT_OFF_SECONDS
    process = Process(name, app, settings, announce=announce, on_draining=lambda: _end_after(longest))

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)  # a second one ends the process as if nobody listened
        process.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    await process.run()


class Process:
    """`run` returns when `stop` was called and everything is given back."""

    def __init__(
        self,
        name: str,
        app: App,
        settings: ServiceSettings,
        *,
        announce: Announce,
        open_ports: OpenPorts = kafka_cassandra_ports,
        on_draining: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.role: Role | None = None
        self._app = app
        self._settings = settings
        self._announce = announce
        self._open_ports = open_ports
        self._on_draining = on_draining
        self._stopping = asyncio.Event()
        self._state = "starting"
        port = HEALTH_PORTS[name] if settings.health_port is None else settings.health_port
        self.probes = Probes(settings.health_host, port, unready=self._unready, metrics=self._metrics)

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Raises Conflict (a port is taken), Unusable (it cannot start or go on), TimeoutError (drain cut off)."""
        try:
            await self.probes.start()
        except ProbePortInUse as error:
            raise Conflict(str(error)) from None
        try:
            await self._serve()
        finally:
            await self.probes.stop()

    async def _serve(self) -> None:
        owner = _owner()
        ports = await self._open_ports(self._settings, self.name, owner)
        try:
            role = ROLES[self.name](self._app, ports, self._settings, owner=f"{owner}-{ports.entropy.bytes(6).hex()}")
            if not await self._start(role):
                return
            self.role, self._state = role, ""
            where = {"service": self.name, "namespace": self._settings.namespace, "probes": self.probes.url}
            self._announce({**where, **role.tells})
            log.info("the service is ready", **where, owner=role.owner)
            await self._until_told(role)
            self._state = "draining"
            log.info("the service drains", service=self.name, seconds=self._settings.drain_seconds)
            await self._drain(role)
        finally:
            await self._bounded(ports.close(), CUT_OFF_SECONDS / 2, "connections were not closed in time")
        if role.failure is not None:
            raise Unusable(str(role.failure))

    async def _start(self, role: Role) -> bool:
        """False if it was told to stop meanwhile. Raises what keeps it from starting, in its own words."""
        starting = asyncio.ensure_future(self._start_role(role))
        told = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait(
                {starting, told}, timeout=self._settings.start_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            told.cancel()
        if starting.done():
            starting.result()
            return True
        starting.cancel()
        await asyncio.wait({starting}, timeout=CUT_OFF_SECONDS)
        if self._stopping.is_set():
            return False
        raise Unusable(
            f"the {self.name} did not become ready within {self._settings.start_seconds:g} s: look at its log for what it "
            "waits for; PERDURE_START_SECONDS gives it more time"
        )

    async def _start_role(self, role: Role) -> None:
        try:
            await verify_layout(role.ports.log, role.topics, self._settings.task_queue)
            await role.start()
        except AddressInUse as error:
            raise Conflict(str(error)) from None
        except PortError as error:
            raise Unusable(str(error)) from None

    async def _until_told(self, role: Role) -> None:
        waits = [asyncio.ensure_future(self._stopping.wait()), asyncio.ensure_future(role.failed.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _drain(self, role: Role) -> None:
        seconds = self._settings.drain_seconds
        self._on_draining()
        try:
            async with asyncio.timeout(seconds):
                await role.stop()
        except TimeoutError:
            raise TimeoutError(
                f"the {self.name} was not drained within {seconds:g} s and is cut off; what was not finished is done again"
            ) from None

    async def _bounded(self, closing: Awaitable[None], seconds: float, complaint: str) -> None:
        try:
            await asyncio.wait_for(asyncio.ensure_future(closing), seconds)
        except TimeoutError:
            log.warning(complaint, service=self.name)

    # -- probes -----------------------------------------------------------------------------------------------

    async def _unready(self) -> str:
        if self._state or self.role is None:
            return self._state
        if self.role.failure is not None:
            return str(self.role.failure)
        return await self.role.unready()

    async def _metrics(self) -> str:
        ready = not self._state and self.role is not None and self.role.failure is None
        samples = [Sample("perdure_ready", float(ready), (("service", self.name),))]
        if self.role is not None:
            samples += await self.role.samples()
        return exposition(samples)


def _owner() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _end_after(seconds: float) -> None:
    """The process ends then, whatever still runs in it: user code may hold a thread, or the whole interpreter's exit."""
    end = threading.Timer(seconds, os._exit, [Exit.TIMEOUT])
    end.daemon = True
    end.start()
