"""One subscription at work: a member of its group, and a feed for each partition that it is given.

Its topic is somebody else's: it may not be there yet, may not be readable, may have any number of partitions. Then the
group is joined later; until then `trouble` says why not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from perdure.ports.errors import LogClosed, TopicMissing
from perdure.ports.log import GroupListener, Membership
from perdure.roles.subscriptions.feed import Feed, Office, group_of
from perdure.roles.subscriptions.register import Declared

__all__ = ["Subscriber"]

logger = structlog.get_logger(__name__)


class Subscriber(GroupListener):
    """Started once and stopped once."""

    def __init__(self, declared: Declared, office: Office) -> None:
        self._declared = declared
        self._office = office
        self._feeds: dict[int, Feed] = {}
        self._joining: asyncio.Task[None] | None = None
        self._membership: asyncio.Future[Membership] = asyncio.get_running_loop().create_future()
        self._trouble = "it joins its group"
        self._closed = False

    @property
    def declared(self) -> Declared:
        return self._declared

    @property
    def feeds(self) -> Mapping[int, Feed]:
        """What is assigned now, by partition."""
        return self._feeds

    @property
    def trouble(self) -> str:
        """Why it does not work, as a sentence; "" if it does."""
        troubles = [self._trouble] if self._trouble else []
        troubles += [
            f"partition {number}: {feed.trouble}" for number, feed in sorted(self._feeds.items()) if feed.trouble
        ]
        return f"subscription {self._declared.subscription.name}: {'; '.join(troubles)}" if troubles else ""

    def change(self, declared: Declared) -> None:
        """The same place in the same topic, mapped in another way: from the next message on."""
        self._declared = declared
        for feed in self._feeds.values():
            feed.declared = declared

    def start(self) -> None:
        self._joining = asyncio.get_running_loop().create_task(self._join())

    async def stop(self) -> None:
        """Finish what is being committed and leave. Twice is harmless."""
        self._closed = True
        if self._membership.done() and not self._membership.cancelled():
            await self._membership.result().leave()
        await self.abandon()

    async def abandon(self) -> None:
        """End as a crash would."""
        self._closed = True
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.gather(self._joining, return_exceptions=True)
        self._membership.cancel()
        feeds, self._feeds = list(self._feeds.values()), {}
        await asyncio.gather(*(feed.abandon() for feed in feeds))

    async def _join(self) -> None:
        subscription, settings = self._declared.subscription, self._office.settings
        group, pause = group_of(self._office.topics, subscription.name), settings.backoff_s
        while True:
            try:
                joined = await self._office.log.join(group, [subscription.topic], self)
                break
            except TopicMissing:
                trouble = f"topic {subscription.topic} does not exist, or may not be read: it waits for it"
            except LogClosed:
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and told
                trouble = f"topic {subscription.topic} cannot be read yet: {error}"
            if trouble != self._trouble:
                logger.warning("a subscription waits", subscription=subscription.name, reason=trouble)
            self._trouble = trouble
            await asyncio.sleep(pause)
            pause = min(2 * pause, settings.backoff_max_s)
        self._trouble = ""
        self._membership.set_result(joined)

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        if self._closed:
            return
        for number in partitions:
            earlier = self._feeds.pop(number, None)
            if earlier is not None:  # thrown out without being told, and back again
                await earlier.abandon()
            feed = self._feeds[number] = Feed(number, self._office, self._declared, self._membership)
            feed.start()

    async def on_revoked(self, partitions: Sequence[int]) -> None:
        feeds = [self._feeds.pop(number) for number in partitions if number in self._feeds]
        await asyncio.gather(*(feed.stop() for feed in feeds))
