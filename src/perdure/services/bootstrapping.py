"""Bootstrap from settings: the ports it works on, opened and closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

import structlog

from perdure.assembly import check_log_limits, kafka_log, kafka_settings
from perdure.clusters import check_tables, create_tables, kafka_topic_settings, keyspace_statements
from perdure.core.names import Topics
from perdure.ports.log import Log
from perdure.services.bootstrap import Bootstrap, wanted_topics
from perdure.services.kafka_topics import KafkaTopics
from perdure.services.keyspace import replication_faults
from perdure.services.library_logs import take_library_logs
from perdure.services.plan import Plan, make_plan
from perdure.services.settings import ServiceSettings, SettingsWrong
from perdure.telemetry.logs import configure_logs

__all__ = ["bootstrapped", "planned"]

CLIENT_ID = "perdure-bootstrap"

told = structlog.get_logger("perdure.bootstrap")


def planned(settings: ServiceSettings, queues: Sequence[str], *, development: bool) -> Plan:
    """Raises SettingsWrong."""
    _check_data_centre(settings, development=development)
    topics = Topics(settings.namespace)
    wanted = wanted_topics(topics, settings.partitions, queues, kafka_topic_settings(settings))
    cql = keyspace_statements(settings, development=development)
    copies, partitions, keyspace = settings.replication, settings.partitions, settings.keyspace
    return make_plan(topics, wanted, copies=copies, partitions=partitions, keyspace=keyspace, cql=cql)


def bootstrapped(settings: ServiceSettings, queues: Sequence[str], *, development: bool, check: bool) -> list[str]:
    """What is wrong. Raises SettingsWrong, TopicMismatch, PortError, StoreUnavailable."""
    if not check:
        _check_data_centre(settings, development=development)
    configure_logs(level="WARNING")
    take_library_logs(logging.ERROR)  # that a topic is not there yet is no news to a bootstrap
    return asyncio.run(_bootstrapped(settings, queues, development=development, check=check))


async def _bootstrapped(
    settings: ServiceSettings, queues: Sequence[str], *, development: bool, check: bool
) -> list[str]:
    topics = Topics(settings.namespace)
    wanted = wanted_topics(topics, settings.partitions, queues, kafka_topic_settings(settings))
    log = await kafka_log(settings, CLIENT_ID)
    try:
        work = Bootstrap(
            log,
            topics,
            wanted,
            partitions=settings.partitions,
            epoch=settings.epoch,
            copies=settings.replication,
            outside=KafkaTopics(kafka_settings(settings, CLIENT_ID).client_options()),
            create_tables=partial(create_tables, settings, development=development),
            check_tables=partial(_tables_checked, settings, development=development),
            check_brokers=partial(_brokers_checked, log),
        )
        return await (work.check() if check else work.create())
    finally:
        await log.close()


async def _brokers_checked(log: Log) -> list[str]:
    wrong, notes = await check_log_limits(log, [])
    for text in notes:
        told.warning("worth knowing", note=text)
    return wrong


async def _tables_checked(settings: ServiceSettings, *, development: bool) -> list[str]:
    replication, (wrong, notes) = await check_tables(settings)
    for text in notes:
        told.warning("worth knowing", note=text)
    data_centre = None if development else settings.cassandra_datacenter
    return wrong + replication_faults(settings.keyspace, replication, data_centre, settings.replication)


def _check_data_centre(settings: ServiceSettings, *, development: bool) -> None:
    if not development and not settings.cassandra_datacenter:
        raise SettingsWrong(
            "PERDURE_CASSANDRA_DATACENTER is not set: the keyspace's copies lie in a data centre, and `nodetool status` "
            "tells its name. For one node on this machine use --development"
        )
