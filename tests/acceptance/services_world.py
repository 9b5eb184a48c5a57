"""The engine as its four services, each a process, on real Kafka and real Cassandra.

The client is a user's: the blocking one, over HTTP to the gateway. A restart is a deployment: orchestrator, activity
worker and timer service drain on SIGTERM, and others take their place.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta
from typing import Any

import perdure as wf
from perdure.adapters.kafka import KafkaLog
from perdure.adapters.memory import MemoryHistoryStore
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import relax_collector
from perdure.client.client import AsyncWorkflowClient
from perdure.client.log_transport import LogTransport
from perdure.core.names import Topics
from perdure.services.library_logs import take_library_logs
from perdure.services.process import _until_signalled
from perdure.telemetry.logs import configure_logs
from tests.acceptance.forked import Forked
from tests.acceptance.ground import Ground
from tests.acceptance.world import World, time_passes

PATIENCE_S = 90  # other workers are asked for half a minute for an activity that nobody knows
ROLES = ("orchestrator", "activity-worker", "timer", "gateway")
OF_A_DEPLOYMENT = ("orchestrator", "activity-worker", "timer")
"""What a restart ends. The gateway holds nothing of an instance, and goes on as it would in a deployment."""


class ServicesWorld(World):
    kind = "services"
    client: Any = None
    tick = timedelta(seconds=1)  # several requests fit in, also on a busy machine
    patience_s = PATIENCE_S

    def __init__(self, app: wf.App, ground: Ground, namespace: str, turn_seconds_max: float = 0.0) -> None:
        del turn_seconds_max  # a service has its own
        self._ground = ground
        self._settings = ground.settings(namespace)
        self._topics = Topics(namespace)
        self._lives = 0
        self._log_transport: LogTransport | None = None
        self.services: dict[str, Forked] = {}
        self._log: KafkaLog = ground.portal.call(ground.make_topics, self._topics)
        try:
            self._begin(app, ROLES)
            self.url = self._told["gateway"]["gateway"]
            self.client = wf.DaprWorkflowClient(self.url, app=app, api_token="")
        except BaseException:
            self._end()
            raise

    def end_of(self, instance_id: str) -> Any:
        try:
            return super().end_of(instance_id)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.said}") from None

    def until(self, holds: Any, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}\n{self.said}"
            time.sleep(0.02)

    def skip(self, duration: timedelta) -> None:
        self.result(self.start(time_passes, duration.total_seconds()))

    def together(self, *commands: tuple[str, tuple[Any, ...], dict[str, Any]]) -> list[Any]:
        """Through the log itself: a gateway is asked one by one."""
        return self._ground.portal.call(self._together, commands)

    async def _together(self, commands: Any) -> list[Any]:
        if self._log_transport is None:
            clock, entropy = SystemClock(), SystemEntropy()
            self._log_transport = LogTransport(self._log, MemoryHistoryStore(), self._topics, entropy, clock)
            await self._log_transport.open()
        client = AsyncWorkflowClient(self._log_transport, app=self.app)
        calls = [getattr(client, verb)(*given, **options) for verb, given, options in commands]
        return await asyncio.gather(*calls, return_exceptions=True)

    def restart(self, app: wf.App | None = None) -> None:
        for role in OF_A_DEPLOYMENT:
            self.services[role].signal(signal.SIGTERM)
        for role in OF_A_DEPLOYMENT:
            service = self.services.pop(role)
            code = service.ended()
            service.close()
            assert code == 0, f"the {role} ended with {code}:\n{service.said}"
        self._begin(app or self.app, OF_A_DEPLOYMENT)

    @property
    def said(self) -> str:
        """What the services logged, for whoever looks for the cause."""
        return "\n".join(f"-- {role}\n{service.said}" for role, service in self.services.items())

    def close(self) -> None:
        dead = [role for role, service in self.services.items() if not service.alive]
        said = self.said
        self._end()
        assert not dead, f"ended by themselves: {dead}\n{said}"

    def _begin(self, app: wf.App, roles: tuple[str, ...]) -> None:
        self.app = app
        app.add_workflow(time_passes)
        self._lives += 1
        for role in roles:
            log = self._ground.folder / f"{self._settings.namespace}-{role}-{self._lives}.log"
            self.services[role] = Forked(role, log, lambda announce, role=role: self._serve(role, app, announce))
        self._told = {role: self.services[role].ready() for role in roles}

    def _serve(self, role: str, app: wf.App, announce: Any) -> None:
        """In the child: what `perdure run` does after it has found the App."""
        os.environ.pop("PERDURE_GATEWAY_API_TOKEN", None)
        os.environ["PERDURE_GATEWAY_PORT"] = "0"
        os.environ["PERDURE_LOG_LEVEL"] = "INFO"
        configure_logs()
        take_library_logs()
        relax_collector()
        asyncio.run(_until_signalled(role, app, self._settings, announce))

    def _end(self) -> None:
        """Killed: that they drain is the restarts' to show, and only costs here."""
        for service in self.services.values():
            service.close()
        if self.client is not None:
            self.client.close()
        self._ground.portal.call(self._leave_the_log)

    async def _leave_the_log(self) -> None:
        if self._log_transport is not None:
            await self._log_transport.close()
        await self._log.close()
        await self._ground.drop_topics(self._topics)
