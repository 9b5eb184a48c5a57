"""Topics: created with what the engine needs, deleted from up to an offset."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, TopicAlreadyExistsError, for_code

from perdure.adapters.kafka.connection import LEADER_POLL_SECONDS, Connection
from perdure.adapters.kafka.errors import unreachable
from perdure.adapters.kafka.settings import KafkaSettings
from perdure.core.limits import RECORD_BYTES_MAX
from perdure.ports.errors import PortError, TopicMismatch
from perdure.ports.log import TopicSpec

__all__ = ["create_topics", "delete_before", "topic_settings"]

ENVELOPE_BYTES_MAX = 64 * 1024  # of a batch around its one largest record


def topic_settings(settings: KafkaSettings) -> dict[str, str]:
    """Of every topic. No retention by time or size: the owner deletes what is stored, nobody else may."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(RECORD_BYTES_MAX + ENVELOPE_BYTES_MAX),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(min(settings.insync_min, settings.replication)),
        "unclean.leader.election.enable": "false",
    }


async def create_topics(connection: Connection, specs: Sequence[TopicSpec]) -> None:
    """Creates what is missing and waits until it can be used. Raises TopicMismatch before anything is created."""
    missing = [spec for spec in specs if not await _exists(connection, spec)]
    if missing:
        await _create(connection.settings, missing)
    async with connection.patience():
        for spec in missing:
            # Another process may have created it meanwhile, and its own way.
            while not await _exists(connection, spec):  # noqa: ASYNC110 - the cluster tells nobody
                await asyncio.sleep(LEADER_POLL_SECONDS)


async def delete_before(connection: Connection, topic: str, partition: int, offset: int) -> None:
    try:
        await connection.delete_before(topic, partition, max(offset, 0))
    except OffsetOutOfRangeError:  # beyond the end: everything may go
        _, end = await connection.bounds(topic, partition)
        await connection.delete_before(topic, partition, end)


async def _exists(connection: Connection, spec: TopicSpec) -> bool:
    found = await connection.look_up(spec.name)
    if found is not None and found != spec.partitions:
        raise TopicMismatch(
            f"topic {spec.name} has {found} partitions, not {spec.partitions}: ids would move to other partitions. Use "
            "another namespace, or the recorded count"
        )
    return found is not None


async def _create(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> None:
    admin = AIOKafkaAdminClient(**settings.client_options())
    topics = [
        NewTopic(spec.name, spec.partitions, settings.replication, topic_configs=topic_settings(settings))
        for spec in specs
    ]
    try:
        await admin.start()
        answer = await admin.create_topics(topics, timeout_ms=settings.answer_timeout_ms)
    except KafkaError as error:
        raise unreachable(settings.servers, error) from error
    finally:
        await admin.close()
    for name, code, *text in answer.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise PortError(f"topic {name} could not be created ({for_code(code).__name__}: {text[0] if text else ''})")
