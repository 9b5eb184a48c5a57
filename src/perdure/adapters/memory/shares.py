"""Who gets which partitions: even shares, and as few moves as they allow (as Kafka's sticky assignor)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

__all__ = ["share"]

Member = TypeVar("Member")


def share(partitions: int, members: Sequence[Member], previous: Mapping[int, Member]) -> dict[Member, list[int]]:
    """Partition numbers 0…partitions-1 over the members, each list ascending; sizes differ by one at most.

    A member keeps what it had before, up to its share; members that had more get the larger shares.
    """
    if not members:
        return {}
    low, larger = divmod(partitions, len(members))
    held = {member: [p for p in range(partitions) if previous.get(p) is member] for member in members}
    by_held = sorted(members, key=lambda member: -len(held[member]))
    size = {member: low + (place < larger) for place, member in enumerate(by_held)}
    kept = {member: held[member][: size[member]] for member in members}
    taken = {partition for given in kept.values() for partition in given}
    free = iter([partition for partition in range(partitions) if partition not in taken])
    for member in members:
        kept[member] += [next(free) for _ in range(size[member] - len(kept[member]))]
    return {member: sorted(given) for member, given in kept.items()}
