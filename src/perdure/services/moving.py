"""Growth and restoration from settings: the ports they work on, opened and closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from perdure.assembly import kafka_cassandra_ports, kafka_settings
from perdure.core.names import Topics
from perdure.services.groups import KafkaGroups
from perdure.services.growth import Growth
from perdure.services.kafka_topics import KafkaTopics
from perdure.services.layout import Layout
from perdure.services.library_logs import take_library_logs
from perdure.services.restoration import Restoration
from perdure.services.settings import ServiceSettings
from perdure.telemetry.logs import configure_logs

__all__ = ["grown", "restored"]


def grown(settings: ServiceSettings, partitions: int, *, pass_on: bool, tell: Callable[[str], None]) -> Layout:
    """Raises what `Growth.run` raises."""
    _quiet()
    return asyncio.run(_grown(settings, partitions, pass_on=pass_on, tell=tell))


def restored(settings: ServiceSettings, tell: Callable[[int], None]) -> int:
    """Raises what `Restoration.run` raises."""
    _quiet()
    return asyncio.run(_restored(settings, tell))


def _quiet() -> None:
    configure_logs(level="WARNING")
    take_library_logs(logging.ERROR)


async def _grown(settings: ServiceSettings, partitions: int, *, pass_on: bool, tell: Callable[[str], None]) -> Layout:
    ports = await kafka_cassandra_ports(settings, "grow", "operator")
    options = kafka_settings(settings, "perdure-grow").client_options()
    try:
        work = Growth(
            ports.log,
            ports.store,
            Topics(settings.namespace),
            KafkaTopics(options),
            KafkaGroups(options),
            settings.epoch,
            tell,
        )
        return await work.run(partitions, pass_on=pass_on)
    finally:
        await ports.close()


async def _restored(settings: ServiceSettings, tell: Callable[[int], None]) -> int:
    ports = await kafka_cassandra_ports(settings, "restore", "operator")
    try:
        return await Restoration(ports.log, ports.store, Topics(settings.namespace), tell).run()
    finally:
        await ports.close()
