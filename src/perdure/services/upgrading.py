"""Upgrade from settings: the log it works on, opened and closed."""

from __future__ import annotations

import asyncio
import logging

from perdure.assembly import kafka_log, kafka_settings
from perdure.core.names import Topics
from perdure.services.groups import KafkaGroups
from perdure.services.library_logs import take_library_logs
from perdure.services.settings import LogClientSettings
from perdure.services.upgrade import Found, Upgrade
from perdure.telemetry.logs import configure_logs

__all__ = ["upgraded"]

CLIENT_ID = "perdure-upgrade"


def upgraded(settings: LogClientSettings, *, check: bool, wait_seconds: float) -> Found:
    """Raises TopicMissing, TopicMismatch, PortError."""
    configure_logs(level="WARNING")
    take_library_logs(logging.ERROR)
    return asyncio.run(_upgraded(settings, check=check, wait_seconds=wait_seconds))


async def _upgraded(settings: LogClientSettings, *, check: bool, wait_seconds: float) -> Found:
    log = await kafka_log(settings, CLIENT_ID)
    try:
        groups = KafkaGroups(kafka_settings(settings, CLIENT_ID).client_options())
        work = Upgrade(log, Topics(settings.namespace), groups)
        return await (work.look() if check else work.run(wait_seconds))
    finally:
        await log.close()
