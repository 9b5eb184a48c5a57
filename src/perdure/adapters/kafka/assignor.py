"""Who gets which partition numbers.

All topics of a group are shared out by number: the same numbers of each topic go to the same member. A member keeps
what it had as far as its fair share reaches, so that what it holds in memory stays of use. Members of other topics
cannot join: the protocol's name holds the topics, and the broker admits no member that does not speak it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

__all__ = ["Claim", "NumberAssignor", "share_out", "topics_of"]

PREFIX = "perdure:"


@dataclass(slots=True, frozen=True)
class Claim:
    """What a member had last. `round` grows with each sharing out: the later claim to a number counts."""

    round: int = 0
    numbers: tuple[int, ...] = ()


def share_out(count: int, claims: Mapping[str, Claim]) -> dict[str, tuple[int, ...]]:
    """Numbers 0…count-1 over the members, evenly, each keeping what it had up to its share."""
    held: dict[str, list[int]] = {member: [] for member in claims}
    free = set(range(count))
    for member in sorted(claims, key=lambda member: (-claims[member].round, member)):
        held[member] = [number for number in claims[member].numbers if number in free]
        free.difference_update(held[member])
    share, larger = divmod(count, len(claims))
    sizes: dict[str, int] = {}
    # The larger shares go to those who hold the most: fewest numbers move.
    for rank, member in enumerate(sorted(held, key=lambda member: (-len(held[member]), member))):
        size = share + (rank < larger)
        free.update(held[member][size:])
        held[member] = held[member][:size]
        sizes[member] = size
    left = iter(sorted(free))
    for member, numbers in held.items():
        numbers += [next(left) for _ in range(sizes[member] - len(numbers))]
    return {member: tuple(sorted(numbers)) for member, numbers in held.items()}


def topics_of(protocol: str) -> list[str]:
    """The topics that a group's members read, from the name of their protocol."""
    return protocol.removeprefix(PREFIX).split(",") if protocol.startswith(PREFIX) else []


class NumberAssignor:
    """One member's side of the protocol; what aiokafka calls. Kept when its consumer is replaced."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.name = PREFIX + ",".join(topics)
        self._topics = tuple(topics)
        self._claim = Claim()

    def metadata(self, _topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(0, list(self._topics), _encode(self._claim))

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in self._topics}
        claims = {member: _decode(metadata.user_data) for member, metadata in members.items()}
        this_round = max(claim.round for claim in claims.values()) + 1
        assignments = {}
        for member, numbers in share_out(max(counts.values()), claims).items():
            places = [(topic, [number for number in numbers if number < counts[topic]]) for topic in self._topics]
            user_data = _encode(Claim(this_round, numbers))
            assignments[member] = ConsumerProtocolMemberAssignment(0, places, user_data)
        return assignments

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        self._claim = _decode(assignment.user_data)


def _encode(claim: Claim) -> bytes:
    return json.dumps([claim.round, claim.numbers]).encode()


def _decode(data: bytes) -> Claim:
    if not data:
        return Claim()
    this_round, numbers = json.loads(data)
    return Claim(this_round, tuple(numbers))
