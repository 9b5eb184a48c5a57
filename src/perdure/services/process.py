"""A service's process, from its settings to its exit.

The order is the law. Up: settings, fixed hash seed, App, probes (alive, not ready), ports, the recorded layout, the
role, then the line that says so. Down, on SIGTERM or SIGINT or a failure: not ready, the role drains, ports close,
probes close. A drain that does not end in its time is cut off: what was not finished is done again by another
process, which is what the log is for.

A role lives on one set of ports. When the watchdog finds that they stand still, or a part of the role ended with what
they raised, the role is ended, the ports are closed, and another life begins on new ones in the same process: a few
times, then the process ends. What is away at the first start ends the process, by name; later it is waited for.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog

from perdure.assembly import Ports, relax_collector
from perdure.cli.exits import Conflict, Exit, Unusable
from perdure.cli.loading import load_app
from perdure.core.names import Topics
from perdure.ports.errors import PortError
from perdure.roles.subscriptions.subscription import SubscriptionWrong
from perdure.services.hash_seed import begin_again_with_fixed_seed
from perdure.services.layout import verify_layout
from perdure.services.library_logs import take_library_logs
from perdure.services.probes import ProbePortInUse, Probes
from perdure.services.roles import ROLES, Role
from perdure.services.samples import Sample, exposition
from perdure.services.settings import (
    HEALTH_PORTS,
    ServiceSettings,
    SettingsWrong,
    read_gateway_settings,
    read_settings,
)
from perdure.services.start_checks import checked_ports
from perdure.services.subscribing import read_subscription_file
from perdure.services.watchdog import RESTARTS_MAX, RESTARTS_SECONDS, Restarts, Watchdog
from perdure.services.watched import WatchedLog
from perdure.services.write_version import follow_write_version
from perdure.telemetry.logs import configure_logs
from perdure.telemetry.provider import TracesWrong, configure_traces
from perdure.workflow.app import App

__all__ = ["Process", "run_service"]

T = TypeVar("T")

log = structlog.get_logger("perdure.service")

CUT_OFF_SECONDS: Final = 4.0
"""After a drain that overran: for closing what is left. Then the process ends whatever still runs in it."""

AGAIN_SECONDS: Final = 1.0
AGAIN_SECONDS_MAX: Final = 30.0
"""Between attempts to begin another life: the first pause, and the longest."""

STOP_SECONDS: Final = 10.0
"""For a role that is to begin anew: what it stands on does not move, so that it cannot drain in peace."""

OpenPorts = Callable[[ServiceSettings, str, str], Coroutine[None, None, Ports]]
Announce = Callable[[Mapping[str, str]], None]


def run_service(name: str, target: str, announce: Announce, **given: object) -> None:
    """Returns when SIGTERM or SIGINT has ended it. Raises SettingsWrong, UsageError, Conflict, Unusable, TimeoutError.

    `name` is one of ROLES, `target` the App as module:attribute ("" where the role needs none).
    """
    settings = read_settings(**given)
    if name == "gateway":
        read_gateway_settings()
    if name == "subscriber" and settings.subscriptions is not None:
        _check_subscriptions(settings.subscriptions, settings.namespace)
    begin_again_with_fixed_seed()
    configure_logs()
    take_library_logs()
    end_traces = _traces(name)
    app = load_app(target) if target else App()
    relax_collector()
    try:
        asyncio.run(_until_signalled(name, app, settings, announce))
    finally:
        end_traces()


def _check_subscriptions(path: Path, namespace: str) -> None:
    try:
        read_subscription_file(path, Topics(namespace))
    except SubscriptionWrong as error:
        raise SettingsWrong(f"PERDURE_SUBSCRIPTIONS: {error}") from None


def _traces(role: str) -> Callable[[], None]:
    try:
        return configure_traces(role)
    except TracesWrong as error:
        raise SettingsWrong(str(error)) from None


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
    """`run` returns when `stop` was called and everything is given back.

    What a process has of the machine it runs on comes from outside: its ports, probes, name, and where roles run user code.
    """

    def __init__(
        self,
        name: str,
        app: App,
        settings: ServiceSettings,
        *,
        announce: Announce,
        open_ports: OpenPorts = checked_ports,
        on_draining: Callable[[], None] = lambda: None,
        roles: Mapping[str, type[Role]] = ROLES,
        probes: type[Probes] = Probes,
        identity: Callable[[], str] = lambda: f"{socket.gethostname()}-{os.getpid()}",
    ) -> None:
        self.name = name
        self.role: Role | None = None
        self.restarts = Restarts()
        self._life: _Life | None = None
        self._app = app
        self._settings = settings
        self._announce = announce
        self._open_ports = open_ports
        self._on_draining = on_draining
        self._roles = roles
        self._identity = identity
        self._stopping = asyncio.Event()
        self._state = "starting"
        port = HEALTH_PORTS[name] if settings.health_port is None else settings.health_port
        self.probes = probes(settings.health_host, port, unready=self._unready, metrics=self._metrics)

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
        loop = asyncio.get_running_loop()
        again = False
        while True:
            life = await (self._begin_again() if again else self._begin())
            if life is None:
                return
            self.role, self._life, self._state = life.role, life, ""
            where = {"service": self.name, "namespace": self._settings.namespace, "probes": self.probes.url}
            if not again:
                self._announce({**where, **life.role.tells})
            log.info("the service is ready", **where, owner=life.role.owner)
            trouble = await self._until_over(life)
            if not trouble:
                await self._finish(life)
                return
            log.warning("the role begins again on new connections", service=self.name, reason=trouble)
            self._state = f"begins again: {trouble}"
            await self._end(life, STOP_SECONDS)
            if not self.restarts.allow(loop.time()):
                raise Unusable(
                    f"the {self.name} stood still more than {RESTARTS_MAX} times within {RESTARTS_SECONDS / 60:.0f} minutes, "
                    f"although its connections were opened anew ({trouble}): the process ends and has to be started again; "
                    "nothing accepted is lost"
                )
            again = True

    async def _begin(self) -> _Life | None:
        """None if it was told to stop meanwhile. Raises what keeps it from starting, in its own words."""
        end = asyncio.get_running_loop().time() + self._settings.start_seconds
        owner = self._identity()
        ports = await self._unless_told(self._open_ports(self._settings, self.name, owner), end)
        if ports is None:
            return None
        watched = ports.log = WatchedLog(ports.log)
        role = self._roles[self.name](self._app, ports, self._settings, owner=f"{owner}-{ports.entropy.bytes(6).hex()}")
        life = _Life(ports, role, Watchdog(watched, role.held, self._settings.stall_seconds))
        begun = None
        try:
            begun = await self._unless_told(self._start(role), end)
        finally:
            if begun is None:
                await self._end(life, CUT_OFF_SECONDS / 2)
        return life if begun else None

    async def _unless_told(self, work: Coroutine[None, None, T], end: float) -> T | None:
        """None if it was told to stop meanwhile. Raises what `work` raises, and Unusable at the time `end`."""
        working = asyncio.ensure_future(work)
        told = asyncio.ensure_future(self._stopping.wait())
        left = end - asyncio.get_running_loop().time()
        try:
            await asyncio.wait({working, told}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
        if working.done():
            return working.result()
        working.cancel()
        await asyncio.wait({working}, timeout=CUT_OFF_SECONDS)
        if self._stopping.is_set():
            return None
        raise Unusable(
            f"the {self.name} did not become ready within {self._settings.start_seconds:g} s: look at its log for what it "
            "waits for; PERDURE_START_SECONDS gives it more time"
        )

    async def _begin_again(self) -> _Life | None:
        """Until it succeeds, or it is told to stop: what is away comes back."""
        pause = AGAIN_SECONDS
        while not self._stopping.is_set():
            try:
                return await self._begin()
            except (PortError, Unusable) as error:
                self._state = f"begins again: {error}"
                log.warning("the role cannot begin again yet", service=self.name, error=str(error), retry_s=pause)
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                pause = min(2 * pause, AGAIN_SECONDS_MAX)
        return None

    async def _start(self, role: Role) -> bool:
        try:
            layout = await verify_layout(role.ports.log, role.topics, self._settings.task_queue)
            role.ports.encode.raise_to(layout.writes)
            role.epoch = max(role.epoch, layout.epoch)
            await role.start()
        except PortError as error:
            raise Unusable(str(error)) from None
        return True

    async def _until_over(self, life: _Life) -> str:
        """What another life may mend; "" if it was told to stop, or cannot go on at all."""
        watching = asyncio.ensure_future(life.watchdog.run())
        told = asyncio.ensure_future(self._stopping.wait())
        over = asyncio.ensure_future(life.role.over.wait())
        following = asyncio.ensure_future(
            follow_write_version(life.ports.log, life.role.topics, life.ports.encode, life.role.fail)
        )
        waits = (watching, told, over, following)
        await asyncio.wait(waits[:3], return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if told.done() or life.role.failure is not None:
            return ""
        return life.role.trouble if over.done() else watching.result()

    async def _finish(self, life: _Life) -> None:
        """Drain, for good. Raises Unusable if it was a failure that ended it, TimeoutError if it was cut off."""
        self._state = "draining"
        seconds = self._settings.drain_seconds
        log.info("the service drains", service=self.name, seconds=seconds)
        self._on_draining()
        if not await self._end(life, seconds):
            raise TimeoutError(
                f"the {self.name} was not drained within {seconds:g} s and is cut off; what was not finished is done again"
            )
        if life.role.failure is not None:
            raise Unusable(str(life.role.failure))

    async def _end(self, life: _Life, seconds: float) -> bool:
        """Drain what there is and close its ports. False if the drain took longer than that and was cut off."""
        drained = True
        try:
            async with asyncio.timeout(seconds):
                await life.role.stop()
        except TimeoutError:
            drained = False
        except Exception as error:  # noqa: BLE001 - it ends either way; what it was is told
            log.warning("the role did not end in order", service=self.name, error=f"{type(error).__name__}: {error}")
        await self._bounded(life.ports.close(), CUT_OFF_SECONDS / 2, "connections were not closed in time")
        if not drained:
            await self._bounded(life.role.abandon(), CUT_OFF_SECONDS / 2, "what was cut off does not end")
        return drained

    async def _bounded(self, closing: Awaitable[None], seconds: float, complaint: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                await closing
        except TimeoutError:
            log.warning(complaint, service=self.name)

    # -- probes -----------------------------------------------------------------------------------------------

    async def _unready(self) -> str:
        if self._state or self.role is None:
            return self._state
        if self.role.failure is not None:
            return str(self.role.failure)
        if self._life is not None and self._life.watchdog.trouble:
            return self._life.watchdog.trouble
        return await self.role.unready()

    async def _metrics(self) -> str:
        ready = not self._state and self.role is not None and self.role.failure is None
        samples = [
            Sample("perdure_ready", float(ready), (self.name,)),
            Sample("perdure_restarts_total", self.restarts.count),
        ]
        if self.role is not None:
            samples += await self.role.samples()
        return exposition(samples)


@dataclass(slots=True, frozen=True)
class _Life:
    """A role on one set of ports."""

    ports: Ports
    role: Role
    watchdog: Watchdog


def _end_after(seconds: float) -> None:
    """The process ends then, whatever still runs in it: user code may hold a thread, or the whole interpreter's exit."""
    end = threading.Timer(seconds, os._exit, [Exit.TIMEOUT])
    end.daemon = True
    end.start()
