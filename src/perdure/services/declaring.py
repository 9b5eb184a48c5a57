"""Subscriptions as the command line changes them: on the log that the environment names, opened and closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from perdure.assembly import kafka_log
from perdure.core.names import Topics
from perdure.ports.errors import TopicMissing
from perdure.ports.log import Log, Record
from perdure.roles.subscriptions.mapping import Mapped, command_id_of, made_of
from perdure.roles.subscriptions.register import Changes, Declared, Register, add, read_register, remove
from perdure.roles.subscriptions.subscription import Subscription, SubscriptionWrong
from perdure.services.library_logs import take_library_logs
from perdure.services.settings import read_client_settings
from perdure.telemetry.logs import configure_logs

__all__ = ["added", "listed", "removed", "sampled", "topics_here"]

CLIENT_ID = "perdure-subscriptions"
ENVELOPE = ("key", "value", "headers", "topic", "partition", "offset", "timestamp")

T = TypeVar("T")


def topics_here() -> Topics:
    """Of the environment's namespace. Raises SettingsWrong."""
    return Topics(read_client_settings("kafka://unasked:1").namespace)


def added(subscriptions: Sequence[Subscription]) -> tuple[Changes, list[str]]:
    """What was done, and which of their topics do not exist yet. Raises SettingsWrong, SubscriptionWrong, PortError."""

    async def work(log: Log, topics: Topics) -> tuple[Changes, list[str]]:
        changes = await add(log, topics, subscriptions)
        absent = []
        for topic in dict.fromkeys(each.topic for each in subscriptions):
            try:
                await log.partitions(topic)
            except TopicMissing:
                absent.append(topic)
        return changes, absent

    return _done(work)


def removed(name: str) -> bool:
    """Whether a file had brought it. Raises SettingsWrong, SubscriptionUnknown, PortError."""

    async def work(log: Log, topics: Topics) -> bool:
        known = (await read_register(log, topics)).declared.get(name)
        await remove(log, topics, name)
        return known is not None and known.by_file

    return _done(work)


def listed() -> tuple[list[Declared], Mapping[str, str]]:
    """Those there are, by name; and what is wrong with those that cannot be read. Raises SettingsWrong, PortError."""

    async def work(log: Log, topics: Topics) -> Register:
        return await read_register(log, topics)

    found = _done(work)
    return [each for _, each in sorted(found.declared.items())], found.faults


def sampled(subscription: Subscription, sample: Any) -> Mapped | None:
    """What it would make of a message, given as what expressions see of it. Raises SubscriptionWrong, Misfit."""
    unknown = sorted(map(str, sample.keys() - set(ENVELOPE))) if isinstance(sample, dict) else ["it"]
    if unknown:
        raise SubscriptionWrong(
            f"--try takes a message as expressions see it: an object with any of {', '.join(ENVELOPE)}; '{unknown[0][:80]}' "
            'is none of them. A value alone is {"value": …}'
        )
    place = Record(subscription.topic, 0, 0, b"", b"")
    plain: dict[str, Any] = {
        "key": None,
        "value": None,
        "headers": {},
        "topic": place.topic,
        "partition": 0,
        "offset": 0,
        "timestamp": None,
    }
    return made_of({**plain, **sample}, subscription, command_id_of(subscription.name, place))


def _done(work: Callable[[Log, Topics], Awaitable[T]]) -> T:
    settings = read_client_settings()
    configure_logs(level="WARNING")
    take_library_logs(logging.ERROR)

    async def run() -> T:
        log = await kafka_log(settings, CLIENT_ID)
        try:
            return await work(log, Topics(settings.namespace))
        finally:
            await log.close()

    return asyncio.run(run())
