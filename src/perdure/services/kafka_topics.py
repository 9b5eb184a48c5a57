"""Topics as Kafka has them: how many copies, which settings; and the one setting that bootstrap changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, for_code

from perdure.ports.errors import PortError

__all__ = ["LOSING", "KafkaTopics", "TopicFacts", "differences"]

AT_LEAST: Final = ("max.message.bytes", "min.insync.replicas")
"""Settings that may be higher than needed; the others have to be equal."""

LOSING: Final = ("cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes")
"""Settings under which records are lost or refused: a service does not start on others than it needs."""


@dataclass(slots=True, frozen=True)
class TopicFacts:
    """`settings` is None where this user may not read them."""

    partitions: int
    copies: int
    settings: Mapping[str, str] | None


class KafkaTopics:
    """By the options of the adapter's clients."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)

    async def facts(self, names: Sequence[str]) -> dict[str, TopicFacts]:
        """Of those topics that exist. Raises PortError."""
        async with self._admin() as admin:
            found = {}
            for topic in await admin.describe_topics(list(names)):
                if topic["error_code"] == 0:
                    partitions = topic["partitions"]
                    copies = min((len(each["replicas"]) for each in partitions), default=0)
                    found[topic["topic"]] = (len(partitions), copies)
            settings = await self._settings(admin, list(found))
            return {name: TopicFacts(*counts, settings.get(name)) for name, counts in found.items()}

    async def put(self, name: str, settings: Mapping[str, str]) -> None:
        """These settings, and no others. Raises PortError."""
        async with self._admin() as admin:
            answers = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(settings))])
        for code, text, *_ in (each for answer in answers for each in answer.resources):
            if code:
                raise PortError(f"topic {name} could not be set up ({for_code(code).__name__}: {text or ''})")

    async def names(self, prefix: str) -> list[str]:
        """Of the topics that begin with it. Raises PortError."""
        async with self._admin() as admin:
            return sorted(name for name in await admin.list_topics() if name.startswith(prefix))

    async def grow(self, counts: Mapping[str, int]) -> None:
        """Give these topics as many partitions. Raises PortError."""
        async with self._admin() as admin:
            await admin.create_partitions({name: NewPartitions(count) for name, count in counts.items()})

    async def _settings(self, admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
        return {
            name: {entry[0]: entry[1] for entry in entries}
            for answer in answers
            for code, _text, _kind, name, entries in answer.resources
            if not code
        }

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._options)
        try:
            await admin.start()
            yield admin
        except TopicAuthorizationFailedError as error:
            raise PortError(
                f"Kafka does not let this user do this ({error}): give it what `perdure bootstrap --print` lists"
            ) from error
        except KafkaError as error:
            raise PortError(f"Kafka does not answer about its topics ({type(error).__name__}: {error})") from error
        finally:
            await admin.close()


def differences(facts: TopicFacts, wanted: Mapping[str, str], copies: int) -> list[str]:
    """What does not fit, each as `has …, needs …`."""
    found = []
    if facts.copies < copies:
        found.append(f"has {facts.copies} copies, needs {copies}")
    for name, value in wanted.items():
        live = (facts.settings or {}).get(name)
        if live is None or live == value or (name in AT_LEAST and int(live) >= int(value)):
            continue
        found.append(f"has {name}={live}, needs {value}")
    return found
