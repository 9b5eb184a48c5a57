"""What a log tells of groups to somebody who is no member: where they stand, and whether anybody is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Groups", "Place"]

Place = tuple[str, int]
"""(topic, partition)"""


class Groups(Protocol):
    """Reads only. Each raises Forbidden for what this user may not describe, and PortError where nobody answers."""

    async def topics(self, prefix: str) -> list[str]:
        """Those that begin so and that this user may describe, in their order."""
        ...

    async def bounds(self, topics: Sequence[str]) -> dict[Place, tuple[int, int]]:
        """(start, end) of every partition, as `Log.bounds` has them: of all in one request to each broker and side."""
        ...

    async def stored(self, group: str, topic: str) -> dict[int, int]:
        """The group's positions by partition; those that have none are left out."""
        ...

    async def members(self, group: str) -> int:
        """How many there are now; 0 of a group that never was."""
        ...
