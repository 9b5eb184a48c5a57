"""Which subscriptions there are: the topic `<ns>.subscriptions`, and nothing else.

One partition; a record is keyed by the subscription's name, its value is JSON; the last one of a name counts, an empty
value means that it was removed.

**Law.** Every change is made by a writer of one id: opened, then read, then committed. So no two changes are made on the
same knowledge: the earlier writer is fenced, and does it all again. What depends on it is `since`: where the subscription
was added. A position of its group counts if it carries the same `since`: one that is only changed goes on where it
stands, whoever changes it how often. A position of another `since` counts only beyond a begin that is "now": one that was
removed and is added again begins where it says, or after what a subscriber that had not noticed has written since.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from perdure.core.errors import PerdureError
from perdure.core.limits import SUBSCRIPTIONS_MAX
from perdure.core.names import Topics
from perdure.ports.errors import CommitFailed, CommitUnknown, Fenced, PortError, TopicMissing
from perdure.ports.log import Log, Outgoing
from perdure.roles.subscriptions.subscription import Subscription, SubscriptionWrong, fields_of, subscription_of

__all__ = ["Changes", "Declared", "Register", "SubscriptionUnknown", "add", "follow_file", "read_register", "remove"]

READ_MAX: Final = 500
ATTEMPTS_MAX: Final = 20
AGAIN_SECONDS: Final = 0.25
"""Of one change, each after somebody else's came between."""


class SubscriptionUnknown(PerdureError, LookupError):
    """No subscription of this name."""


@dataclass(slots=True, frozen=True)
class Declared:
    """A subscription as it stands in the topic. `begins`: the first offset by partition, none from the beginning; those not named begin at their start."""

    subscription: Subscription
    since: str
    begins: Mapping[int, int]
    by_file: bool = False

    def same_place(self, other: Declared) -> bool:
        """Whether positions of the one are positions of the other."""
        return (self.subscription.topic, self.since) == (other.subscription.topic, other.since)

    def value(self) -> bytes:
        said = {
            "subscription": fields_of(self.subscription), "since": self.since,
            "begins": {str(number): at for number, at in sorted(self.begins.items())}, "by": "file" if self.by_file else "command",
        }  # fmt: skip
        return json.dumps(said).encode()


@dataclass(slots=True)
class Register:
    """`faults`: what is wrong with those that this release cannot read, by name. `end`: of the topic as it was read."""

    declared: dict[str, Declared] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    end: int = 0


@dataclass(slots=True, frozen=True)
class Changes:
    """Names."""

    added: Sequence[str] = ()
    changed: Sequence[str] = ()
    removed: Sequence[str] = ()
    unchanged: Sequence[str] = ()


async def read_register(log: Log, topics: Topics) -> Register:
    """Raises TopicMissing, PortError."""
    await _check_there(log, topics)
    position, end = await log.bounds(topics.subscriptions, 0)
    found = Register(end=end)
    while position < end:
        records = await log.fetch(topics.subscriptions, 0, position, READ_MAX)
        if not records:
            break
        for record in records:
            _take(found, record.key.decode("utf-8", "replace"), record.value)
        position = records[-1].offset + 1
    return found


async def add(log: Log, topics: Topics, subscriptions: Sequence[Subscription], *, by_file: bool = False) -> Changes:
    """Add them, or change those that there are. Raises SubscriptionWrong, TopicMissing, PortError."""

    async def plan(known: Register) -> tuple[list[Outgoing], Changes]:
        return await _added(log, topics, known, subscriptions, by_file=by_file)

    return await _change(log, topics, plan)


async def remove(log: Log, topics: Topics, name: str) -> Changes:
    """Raises SubscriptionUnknown, TopicMissing, PortError."""

    async def plan(known: Register) -> tuple[list[Outgoing], Changes]:
        if name not in known.declared and name not in known.faults:
            there = ", ".join(sorted(known.declared)) or "none"
            raise SubscriptionUnknown(f"there is no subscription '{name}'; there are: {there}")
        return [_removal(topics, name)], Changes(removed=[name])

    return await _change(log, topics, plan)


async def follow_file(log: Log, topics: Topics, subscriptions: Sequence[Subscription]) -> Changes:
    """As a file says: its own are added or changed; those that a file has added and that are not in it go."""

    async def plan(known: Register) -> tuple[list[Outgoing], Changes]:
        named = {each.name for each in subscriptions}
        gone = sorted(name for name, each in known.declared.items() if each.by_file and name not in named)
        rest = replace(known, declared={name: each for name, each in known.declared.items() if name not in gone})
        records, changes = await _added(log, topics, rest, subscriptions, by_file=True)
        return [*(_removal(topics, name) for name in gone), *records], replace(changes, removed=gone)

    return await _change(log, topics, plan)


Plan = Callable[[Register], Awaitable[tuple[list[Outgoing], Changes]]]


async def _change(log: Log, topics: Topics, plan: Plan) -> Changes:
    await _check_there(log, topics)
    for attempt in range(ATTEMPTS_MAX):
        writer = await log.open_writer(topics.subscriptions)
        try:
            records, changes = await plan(await read_register(log, topics))
            if records:
                await writer.commit(records)
            return changes
        except (Fenced, CommitFailed, CommitUnknown):
            if attempt == ATTEMPTS_MAX - 1:
                raise
            await asyncio.sleep(AGAIN_SECONDS)  # whoever came last must get its turn
        finally:
            await writer.close()
    raise AssertionError("unreachable")


async def _added(
    log: Log, topics: Topics, known: Register, subscriptions: Sequence[Subscription], *, by_file: bool
) -> tuple[list[Outgoing], Changes]:
    names: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
    records = []
    for number, each in enumerate(subscriptions):
        earlier = known.declared.get(each.name)
        goes_on = earlier is not None and earlier.subscription.topic == each.topic
        if earlier is not None and goes_on:
            wanted = replace(earlier, subscription=each, by_file=by_file)
        else:
            wanted = Declared(each, f"{known.end}-{number}", await _begins(log, each), by_file)
        names["added" if earlier is None else "unchanged" if wanted == earlier else "changed"].append(each.name)
        if wanted != earlier:
            records.append(Outgoing(topics.subscriptions, 0, each.name.encode(), wanted.value()))
    total = len(known.declared.keys() | {each.name for each in subscriptions})
    if total > SUBSCRIPTIONS_MAX and names["added"]:
        raise SubscriptionWrong(f"there would be {total} subscriptions; a namespace has at most {SUBSCRIPTIONS_MAX}")
    return records, Changes(**names)


async def _begins(log: Log, subscription: Subscription) -> dict[int, int]:
    """Where "now" is, by partition. Of a topic that does not exist yet, everything comes later."""
    if subscription.begin == "beginning":
        return {}
    try:
        count = await log.partitions(subscription.topic)
    except TopicMissing:
        return {}
    bounds = await asyncio.gather(*(log.bounds(subscription.topic, number) for number in range(count)))
    return {number: end for number, (_, end) in enumerate(bounds)}


def _removal(topics: Topics, name: str) -> Outgoing:
    return Outgoing(topics.subscriptions, 0, name.encode(), b"")


def _take(found: Register, name: str, value: bytes) -> None:
    found.declared.pop(name, None)
    found.faults.pop(name, None)
    if not value:
        return
    try:
        found.declared[name] = _read(name, json.loads(value))
    except (SubscriptionWrong, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        found.faults[name] = f"subscription '{name[:80]}' cannot be read ({type(error).__name__}: {error})"


def _read(name: str, said: Any) -> Declared:
    begins = {int(number): int(at) for number, at in said["begins"].items()}
    return Declared(subscription_of(name, said["subscription"]), str(said["since"]), begins, said["by"] == "file")


async def _check_there(log: Log, topics: Topics) -> None:
    try:
        await log.partitions(topics.subscriptions)
    except TopicMissing:
        raise TopicMissing(
            f"topic {topics.subscriptions} does not exist: the namespace was bootstrapped before there were subscriptions, or "
            "not at all. `perdure bootstrap`, run again, makes what is missing"
        ) from None
    except PortError:
        raise
