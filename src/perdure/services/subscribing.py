"""The subscriber as its process sees it, and the file that tells what it subscribes to."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Any, Final

import structlog

from perdure.core.limits import SUBSCRIPTION_BYTES_MAX, SUBSCRIPTIONS_MAX
from perdure.core.names import Topics
from perdure.roles.subscriptions.register import follow_file
from perdure.roles.subscriptions.service import SubscriberService
from perdure.roles.subscriptions.settings import SubscriberSettings
from perdure.roles.subscriptions.subscription import Subscription, SubscriptionWrong, subscription_of
from perdure.services.role import Positions, Role
from perdure.services.samples import Sample, of_stats

__all__ = ["SubscriberRole", "read_subscription_file"]

log = structlog.get_logger("perdure.service")

FILE_BYTES_MAX: Final = SUBSCRIPTIONS_MAX * SUBSCRIPTION_BYTES_MAX
TABLE: Final = "subscriptions"


class SubscriberRole(Role):
    """It runs no user code: subscriptions name workflows and events by text."""

    name = "subscriber"
    app_needed = False
    service: SubscriberService | None = None
    bounds = SubscriberSettings()

    async def start(self) -> None:
        path = self.settings.subscriptions
        self.service = SubscriberService(
            log=self.ports.log,
            topics=self.topics,
            registry=self.ports.registry,
            settings=self.bounds,
            encode=self.ports.encode,
        )
        if path is not None:
            wanted = await asyncio.to_thread(read_subscription_file, path, self.topics)
            changes = await follow_file(self.ports.log, self.topics, wanted)
            log.info(
                "the file of subscriptions was followed", added=list(changes.added), changed=list(changes.changed),
                removed=list(changes.removed),
            )  # fmt: skip
        await self.service.start()

    async def stop(self) -> None:
        if self.service is not None:
            await self.service.stop()

    async def abandon(self) -> None:
        if self.service is not None:
            await self.service.abandon()

    def held(self, topic: str, partition: int) -> str:
        """A feed that does not read maps and commits, or waits for a registry: each ends, or fails, by itself."""
        feeds = {} if self.service is None else self.service.feeds
        return "what was read is being committed" if (topic, partition) in feeds else ""

    async def unready(self) -> str:
        return "" if self.service is None else self.service.trouble

    def positions(self) -> Positions:
        """Of the subscription that is behind most, where several read the same."""
        feeds = {} if self.service is None else self.service.feeds
        known = {place: [each.position for each in some if each.position is not None] for place, some in feeds.items()}
        return {place: min(positions) for place, positions in known.items() if positions}

    async def samples(self) -> list[Sample]:
        if self.service is None:
            return []
        count = sum(len(each.feeds) for each in self.service.subscribers.values())
        found = [*of_stats(self.service.stats, "perdure_subscriptions_"), Sample("perdure_partitions", count)]
        return [*found, *await super().samples()]


def read_subscription_file(path: Path, topics: Topics) -> list[Subscription]:
    """The tables `[subscriptions.NAME]` of a TOML file. Raises SubscriptionWrong, naming the file."""
    try:
        return _read(path, topics)
    except OSError as error:
        raise SubscriptionWrong(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # SubscriptionWrong, TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise SubscriptionWrong(f"{path}: {error}") from None


def _read(path: Path, topics: Topics) -> list[Subscription]:
    with path.open("rb") as file:
        raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise ValueError(f"has more than {FILE_BYTES_MAX:,} bytes")
    try:
        said: dict[str, Any] = tomllib.loads(raw.decode())
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    unknown = sorted(said.keys() - {TABLE})
    tables = said.get(TABLE, {})
    if unknown or not isinstance(tables, dict):
        raise ValueError(
            f"'{unknown[0] if unknown else TABLE}' is no table [{TABLE}.NAME]: one for each subscription, and no more"
        )
    wrong = next((name for name, fields in tables.items() if not isinstance(fields, dict)), None)
    if wrong is not None:
        raise ValueError(f"'{TABLE}.{wrong}' is no table: write [{TABLE}.NAME] and its fields below")
    return [subscription_of(name, fields, topics) for name, fields in tables.items()]
