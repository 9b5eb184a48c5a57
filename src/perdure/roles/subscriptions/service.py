"""The subscription role: messages of other topics become starts and events, each once.

In: `<ns>.subscriptions` (which there are; looked at again and again), and the topics that they name, one group for each
(`<ns>.subscription.<name>`). Out: `<ns>.instances` (StartWorkflow, RaiseEvent), `<ns>.dead-letters`. State: positions of
the groups. What makes it exact: `feed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from perdure.codec.encoder import Encoder
from perdure.core.names import Topics
from perdure.ports.errors import LogClosed, PortError
from perdure.ports.log import Log
from perdure.ports.registry import SchemaRegistry
from perdure.roles.subscriptions.feed import Feed, Office
from perdure.roles.subscriptions.register import Register, read_register
from perdure.roles.subscriptions.schemas import WriterSchemas
from perdure.roles.subscriptions.settings import SubscriberSettings, SubscriberStats
from perdure.roles.subscriptions.subscriber import Subscriber

__all__ = ["SubscriberService"]

logger = structlog.get_logger(__name__)


class SubscriberService:
    """An instance is started once and stopped once. `start` raises TopicMissing, PortError."""

    def __init__(
        self,
        *,
        log: Log,
        topics: Topics,
        registry: SchemaRegistry | None = None,
        settings: SubscriberSettings | None = None,
        encode: Encoder | None = None,
    ) -> None:
        self.stats = SubscriberStats()
        self._log = log
        self._topics = topics
        self._registry = registry
        self._settings = settings or SubscriberSettings()
        self._encode = encode or Encoder()
        self._subscribers: dict[str, Subscriber] = {}
        self._register = Register()
        self._looking: asyncio.Task[None] | None = None
        self._away = ""

    @property
    def subscribers(self) -> Mapping[str, Subscriber]:
        return self._subscribers

    @property
    def feeds(self) -> Mapping[tuple[str, int], list[Feed]]:
        """By topic and partition: several subscriptions may read the same."""
        found: dict[tuple[str, int], list[Feed]] = {}
        for _, each in sorted(self._subscribers.items()):
            for number, feed in sorted(each.feeds.items()):
                found.setdefault((each.declared.subscription.topic, number), []).append(feed)
        return found

    @property
    def trouble(self) -> str:
        """What does not work, as sentences; "" if everything does."""
        troubles = [self._away, *(fault for _, fault in sorted(self._register.faults.items()))]
        troubles += [each.trouble for _, each in sorted(self._subscribers.items())]
        return "; ".join(filter(None, troubles))

    async def start(self) -> None:
        """Returns when the subscriptions are known; each joins its group by itself, when it can."""
        log, topics = self._log, self._topics
        counts = (await log.partitions(topics.instances), await log.partitions(topics.dead_letters))
        self._office = Office(
            log, topics, counts, WriterSchemas(self._registry), self._settings, self.stats, self._encode
        )
        await self._follow(await read_register(log, topics))
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        """Finish what is being committed, and leave the groups. Twice is harmless."""
        await self._stop_looking()
        subscribers, self._subscribers = list(self._subscribers.values()), {}
        await asyncio.gather(*(each.stop() for each in subscribers))

    async def abandon(self) -> None:
        """End as a crash would."""
        await self._stop_looking()
        subscribers, self._subscribers = list(self._subscribers.values()), {}
        await asyncio.gather(*(each.abandon() for each in subscribers))

    async def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        """Whether subscriptions have changed: an end that has moved says so."""
        while True:
            await asyncio.sleep(self._settings.look_s)
            try:
                _, end = await self._log.bounds(self._topics.subscriptions, 0)
                if end != self._register.end:
                    await self._follow(await read_register(self._log, self._topics))
                self._away = ""
            except LogClosed:
                return
            except PortError as error:
                self._away = f"whether subscriptions have changed is not known: {error}"
            except Exception as error:  # noqa: BLE001 - those that run go on, whatever keeps it from looking
                self._away = f"subscriptions cannot be looked at: {type(error).__name__}: {error}"
                logger.warning("subscriptions cannot be looked at", error=self._away)

    async def _follow(self, register: Register) -> None:
        for name, fault in sorted(register.faults.items()):
            if fault != self._register.faults.get(name):
                logger.error("a subscription cannot be read: it is not served", reason=fault)
        self._register = register
        gone = {
            name: each
            for name, each in self._subscribers.items()
            if name not in register.declared or not register.declared[name].same_place(each.declared)
        }
        await asyncio.gather(*(each.stop() for each in gone.values()))
        for name in gone:
            self._subscribers.pop(name, None)
        for name, declared in sorted(register.declared.items()):
            known = self._subscribers.get(name)
            if known is not None:
                known.change(declared)
                continue
            logger.info("a subscription is served", subscription=name, topic=declared.subscription.topic)
            new = self._subscribers[name] = Subscriber(declared, self._office)
            new.start()
