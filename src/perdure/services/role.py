"""A role over ports, as its process sees it: start, what keeps it from being ready, samples, stop."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

import structlog

from perdure.assembly import EngineFailed, Ports
from perdure.core.names import Topics
from perdure.ports.errors import PortError, TopicMismatch, TopicMissing
from perdure.services.samples import Sample
from perdure.services.settings import ServiceSettings
from perdure.services.watched import WatchedLog
from perdure.workflow.app import App

__all__ = ["Positions", "Role"]

log = structlog.get_logger("perdure.service")

LAG_SECONDS = 2.0
"""For the ends of topics, when metrics are asked for: they are given without lags rather than not."""

Positions = Mapping[tuple[str, int], int]
"""(topic, partition) to the offset up to which the role is done."""


class Role(ABC):
    """Started once, stopped once. `over` is set when it cannot go on: with `failure`, not in this process at all;
    with `trouble`, not on these ports, and another life may."""

    name: str
    app_needed = True

    def __init__(self, app: App, ports: Ports, settings: ServiceSettings, *, owner: str) -> None:
        self.app = app
        self.ports = ports
        self.settings = settings
        self.owner = owner
        self.epoch = settings.epoch  # of the topics; the layout may know a higher one
        self.topics = Topics(settings.namespace)
        self.over = asyncio.Event()
        self.failure: EngineFailed | None = None
        self.trouble = ""

    @abstractmethod
    async def start(self) -> None:
        """Returns when it does its work. Raises what keeps it from that."""

    @abstractmethod
    async def stop(self) -> None:
        """Drain and leave. Harmless twice, and after a start that failed."""

    @abstractmethod
    async def abandon(self) -> None:
        """End what a stop that was cut off has left, as a crash would."""

    def held(self, topic: str, partition: int) -> str:
        """Why it does not read on there, on purpose; "" if it has no reason not to."""
        del topic, partition
        return ""

    async def unready(self) -> str:
        """Why it is not ready, "" when it is. Asked only between start and stop."""
        return ""

    async def samples(self) -> list[Sample]:
        return await self._lags(self.positions())

    def positions(self) -> Positions:
        log = self.ports.log
        return (
            {(each.topic, each.partition): each.position for each in log.readers} if isinstance(log, WatchedLog) else {}
        )

    @property
    def tells(self) -> Mapping[str, str]:
        """What its start-up line says besides."""
        return {}

    def fail(self, reason: str) -> None:
        self.failure = self.failure or EngineFailed(
            f"{reason}: the process ends and has to be started again; nothing accepted is lost"
        )
        log.error("the service cannot go on", role=self.name, reason=reason)
        self.over.set()

    def failed(self, error: BaseException) -> None:
        """A part of it has ended. What the ports raised may be over with other ones; anything else is a defect."""
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, PortError) and not isinstance(error, TopicMissing | TopicMismatch):
            self.trouble = self.trouble or reason
            self.over.set()
        else:
            self.fail(reason)

    async def _lags(self, positions: Positions) -> list[Sample]:
        """How far each is behind the end of what it reads, which is asked of the log now; none if it does not answer."""
        try:
            async with asyncio.timeout(LAG_SECONDS):
                ends = await asyncio.gather(*(self.ports.log.bounds(*place) for place in positions))
        except (PortError, TimeoutError) as error:
            log.info("metrics are given without lags", reason=str(error) or "no answer in time")
            return []
        return [
            Sample("perdure_lag_records", max(0, end - at), (topic, str(number)))
            for ((topic, number), at), (_, end) in zip(positions.items(), ends, strict=True)
        ]
