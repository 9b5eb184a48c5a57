"""Who reads a namespace's topics: the members of its groups, as Kafka tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from perdure.codec.versions import read_by
from perdure.core.names import Topics
from perdure.ports.errors import PortError

__all__ = ["KafkaGroups", "Member", "is_group_of"]

AT_ONCE: Final = 20
"""Groups asked about at the same time, one in a request: of several in one, aiokafka 0.14 cannot read the answer."""


@dataclass(slots=True, frozen=True, order=True)
class Member:
    """`reads`: the newest write version that it knows."""

    group: str
    client: str
    host: str
    reads: int


def is_group_of(topics: Topics, group: str) -> bool:
    """Whether its members read what the namespace writes: roles, clients that wait for answers, subscribers."""
    rest = group.removeprefix(f"{topics.namespace}.")
    if rest == group:
        return False
    return rest in ("orchestrator", "timer", "activity-worker") or rest.startswith(
        ("activity-worker.", "client.", "subscri")
    )


class KafkaGroups:
    """By the options of the adapter's clients."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)

    async def members(self, topics: Topics) -> list[Member]:
        """Of all groups of a namespace, in their order. Raises PortError."""
        admin = AIOKafkaAdminClient(**self._options)
        try:
            await admin.start()
            names = sorted(name for name, *_ in await admin.list_consumer_groups() if is_group_of(topics, name))
            found: list[Member] = []
            for start in range(0, len(names), AT_ONCE):
                asked = [admin.describe_consumer_groups([name]) for name in names[start : start + AT_ONCE]]
                for answers in await asyncio.gather(*asked):
                    found += _members_in(answers)
            return sorted(found)
        except KafkaError as error:
            raise PortError(f"Kafka does not tell who reads the namespace ({type(error).__name__}: {error})") from error
        finally:
            await admin.close()


def _members_in(answers: list[Any]) -> list[Member]:
    found = []
    for code, group, _state, _type, _protocol, members, *_ in (each for answer in answers for each in answer.groups):
        if code:
            raise PortError(f"group {group} cannot be looked at ({for_code(code).__name__}): the upgrade was not begun")
        found += [Member(group, client, host.lstrip("/"), read_by(client)) for _, client, host, *_ in members]
    return found
