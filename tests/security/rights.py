"""Kafka's rights, given and taken as the plan says them; and by which of them the broker has let somebody in."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from tests.brokers.places import run_folder

KINDS = {"topic": 2, "group": 3, "cluster": 4, "transactional-id": 5}
OPERATIONS = {
    "Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Alter": 7, "Describe": 8, "DescribeConfigs": 10,
    "AlterConfigs": 11, "IdempotentWrite": 12,
}  # fmt: skip
LITERAL, PREFIXED, ALLOW = 3, 4, 3

ALLOWED = re.compile(
    r"Principal = User:(?P<user>\S+) is Allowed operation = (?P<asked>\w+) .* based on rule MatchingAcl\(acl="
    r"StandardAcl\(resourceType=(?P<kind>\w+), resourceName=(?P<name>\S+), patternType=(?P<pattern>\w+), "
    r"principal=\S+, host=\S+, operation=(?P<operation>\w+),"
)
DENIED = re.compile(
    r"Principal = User:(?P<user>\S+) is Denied operation = (?P<operation>\w+) from host = \S+ on resource = (?P<what>\S+)"
)


@dataclass(frozen=True, order=True)
class Right:
    """One operation on one resource, for one user."""

    user: str
    kind: str
    name: str
    prefixed: bool
    operation: str

    def __str__(self):
        return f"{self.user}: {self.operation} {self.kind} {self.name}{'*' if self.prefixed else ''}"


def rights_in(access, users=None):
    """Of a plan's `access`, each operation for itself. `users`: who has them, if not those that it names."""
    return [
        Right(user, each["kind"], each["name"], each["prefixed"], operation)
        for each in access
        for user in (users or [each["principal"]])
        for operation in each["operations"].split(",")
    ]


class Giver:
    """By the super user."""

    def __init__(self, options):
        self._options = options

    async def give(self, rights):
        async with self._admin() as admin:
            for right in rights:
                answer = await admin._send_request(CreateAclsRequest(*_binding(right)))
                _check(answer.creation_responses[0])

    async def take(self, rights):
        async with self._admin() as admin:
            for right in rights:
                answer = await admin._send_request(DeleteAclsRequest(*_binding(right)))
                _check(answer.filter_responses[0])

    @asynccontextmanager
    async def _admin(self):
        admin = AIOKafkaAdminClient(**self._options)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


def _binding(right):
    pattern = PREFIXED if right.prefixed else LITERAL
    return (
        KINDS[right.kind],
        right.name,
        pattern,
        f"User:{right.user}",
        "*",
        OPERATIONS[right.operation],
        ALLOW,
    )


def _check(answer):
    if answer[0]:
        raise for_code(answer[0])(answer[1])


def used_rights(beginning):
    """Those by which the broker has allowed what they are named for, on what begins so (a namespace).

    One that was good only for what it brings along (Describe comes with Write) was not used.
    """
    found = set()
    for line in _lines():
        match = ALLOWED.search(line)
        if match and match["name"].startswith(beginning) and match["asked"] == match["operation"]:
            kind = match["kind"].lower().replace("_", "-")
            operation = next(each for each in OPERATIONS if each.upper() == match["operation"].replace("_", ""))
            found.add(Right(match["user"], kind, match["name"], match["pattern"] == "PREFIXED", operation))
    return found


def denials(beginning):
    """ "user operation kind:pattern:name" for each that was refused on what begins so, or on the cluster."""
    found = set()
    for line in _lines():
        match = DENIED.search(line)
        if match and match["what"].partition(":")[2].partition(":")[2].startswith(beginning):
            found.add(f"{match['user']} {match['operation']} {match['what']}")
    return found


def _lines():
    with (run_folder("secured-kafka") / "rights.log").open(encoding="utf-8", errors="replace") as file:
        yield from file
