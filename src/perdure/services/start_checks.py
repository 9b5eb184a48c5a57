"""What a service compares before it starts: settings of its topics under which it would lose or corrupt something.

Those refuse the start, by name; whatever else differs from what bootstrap makes is a line in the log. Who may not read
settings (no DescribeConfigs) starts without: rights are the operator's.
"""

from __future__ import annotations

import structlog

from perdure.assembly import Ports, check_log_limits, kafka_cassandra_ports, kafka_settings
from perdure.clusters import kafka_topic_settings
from perdure.core.names import Topics
from perdure.ports.errors import PortError
from perdure.services.bootstrap import TopicsOutside, Wanted, wanted_topics
from perdure.services.kafka_topics import LOSING, KafkaTopics, differences
from perdure.services.settings import ServiceSettings

__all__ = ["check_topics", "checked_ports"]

log = structlog.get_logger("perdure.service")


async def checked_ports(settings: ServiceSettings, role: str, owner: str) -> Ports:
    """A process's ways to both clusters, their topics as they must be. Raises PortError, StoreUnavailable."""
    ports = await kafka_cassandra_ports(settings, role, owner)
    try:
        topics = Topics(settings.namespace)
        wanted = wanted_topics(topics, settings.partitions, [settings.task_queue], kafka_topic_settings(settings))
        outside = KafkaTopics(kafka_settings(settings, f"perdure-{role}-{owner}").client_options())
        await check_topics(outside, wanted, expiring=topics.replies)
        wrong, notes = await check_log_limits(ports.log, [])
        for text in wrong:
            log.warning("a broker is not set as the engine needs it", difference=text)
        for text in notes:
            log.info("worth knowing of a broker", note=text)
        wrong, notes = await ports.store_limits()
        for text in wrong:
            log.warning("the store is not set as the engine needs it", difference=text)
        for text in notes:
            log.info("worth knowing of the store", note=text)
    except BaseException:
        await ports.close()
        raise
    return ports


async def check_topics(outside: TopicsOutside, wanted: list[Wanted], *, expiring: str) -> None:
    """Topics that are missing are none of its business. `expiring`: of this one, records may go. Raises PortError."""
    facts = await outside.facts([each.name for each in wanted])
    refused = []
    for each in wanted:
        found = facts.get(each.name)
        if found is None:
            continue
        if found.settings is None:
            log.info("the settings of a topic may not be read, and are not compared", topic=each.name)
            continue
        losing = {name: value for name, value in each.settings.items() if name in LOSING and each.name != expiring}
        refused += [f"topic {each.name} {text}" for text in differences(found, losing, 0)]
        others = {name: value for name, value in each.settings.items() if name not in losing}
        for text in differences(found, others, 0):
            log.warning("a topic is not as bootstrap makes it", topic=each.name, difference=text)
    if refused:
        raise PortError(
            f"{'; '.join(refused)}: records would be lost or refused. `kafka-configs.sh --alter` sets it, and `perdure "
            "bootstrap --check` names all that differs"
        )
