"""Who reads a namespace's topics: the members of its groups, as Kafka tells of them.

Kafka lists only those groups that the user may describe. Whoever may not would see that nobody is there, so the groups that
every namespace has are asked for by their names: that is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError, KafkaError, for_code

from perdure.codec.versions import read_by
from perdure.core.names import Topics
from perdure.ports.errors import PortError

__all__ = ["KafkaGroups", "Member", "is_group_of"]

AT_ONCE: Final = 20
"""Groups asked about at the same time, one in a request: of several in one, aiokafka 0.14 cannot read the answer."""


ALWAYS: Final = ("orchestrator", "timer", "activity-worker")

COORDINATOR_SECONDS: Final = 10.0
COORDINATOR_PAUSE_SECONDS: Final = 0.2
"""Kafka makes its own topic of groups when the first of a cluster is asked for."""


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
    return rest in ALWAYS or rest.startswith(("activity-worker.", "client.", "subscri"))


class KafkaGroups:
    """By the options of the adapter's clients."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)

    async def members(self, topics: Topics) -> list[Member]:
        """Of all groups of a namespace, in their order. Raises PortError."""
        async with self._admin() as admin:
            found = {name for name, *_ in await admin.list_consumer_groups() if is_group_of(topics, name)}
            return await _members(admin, sorted(found | {f"{topics.namespace}.{name}" for name in ALWAYS}))

    async def members_of(self, group: str) -> list[Member]:
        """Of this one. Raises PortError."""
        async with self._admin() as admin:
            return await _members(admin, [group])

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._options)
        try:
            await admin.start()
            yield admin
        except KafkaError as error:
            raise PortError(f"Kafka does not tell who reads the namespace ({type(error).__name__}: {error})") from error
        finally:
            await admin.close()


async def _members(admin: AIOKafkaAdminClient, groups: Sequence[str]) -> list[Member]:
    found: list[Member] = []
    for start in range(0, len(groups), AT_ONCE):
        for some in await asyncio.gather(*(_members_in(admin, name) for name in groups[start : start + AT_ONCE])):
            found += some
    return sorted(found)


async def _members_in(admin: AIOKafkaAdminClient, group: str) -> list[Member]:
    try:
        answers = await _described(admin, group)
    except GroupAuthorizationFailedError as error:
        raise _unseen(group, error) from error
    found = []
    for code, _group, _state, _type, _protocol, members, *_ in (each for answer in answers for each in answer.groups):
        if code:
            raise _unseen(group, for_code(code)())
        found += [Member(group, client, host.lstrip("/"), read_by(client)) for _, client, host, *_ in members]
    return found


async def _described(admin: AIOKafkaAdminClient, group: str) -> list[Any]:
    loop = asyncio.get_running_loop()
    end = loop.time() + COORDINATOR_SECONDS
    while True:
        try:
            return list(await admin.describe_consumer_groups([group]))
        except GroupCoordinatorNotAvailableError:
            if loop.time() >= end:
                raise
        await asyncio.sleep(COORDINATOR_PAUSE_SECONDS)


def _unseen(group: str, error: KafkaError) -> PortError:
    if isinstance(error, GroupAuthorizationFailedError):
        why = "Kafka does not let this user: give it what `perdure bootstrap --print` lists"
    else:
        why = type(error).__name__
    return PortError(f"group {group} cannot be looked at, and nothing was begun ({why})")
