"""Topic names, and which partition an instance lives in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Topics", "murmur2", "partition_of"]


@dataclass(slots=True, frozen=True)
class Topics:
    """Names of a namespace's topics."""

    namespace: str

    @property
    def instances(self) -> str:
        return f"{self.namespace}.instances"

    @property
    def history(self) -> str:
        return f"{self.namespace}.history"

    @property
    def timers(self) -> str:
        return f"{self.namespace}.timers"

    @property
    def dead_letters(self) -> str:
        return f"{self.namespace}.dead-letters"

    @property
    def dead_letter_marks(self) -> str:
        return f"{self.dead_letters}.marks"

    @property
    def replies(self) -> str:
        return f"{self.namespace}.replies"

    @property
    def subscriptions(self) -> str:
        return f"{self.namespace}.subscriptions"

    def activities(self, queue: str = "") -> str:
        return f"{self.namespace}.activities.{queue}" if queue else f"{self.namespace}.activities"


def murmur2(data: bytes) -> int:
    """Kafka's default key hash (the Java client's murmur2, seed 0x9747b28c), as an unsigned 32-bit number."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    length = len(data)
    h = (0x9747B28C ^ length) & mask
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * m) & mask
        k ^= k >> 24
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
    rest = length - whole
    if rest:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    return h ^ (h >> 15)


def partition_of(instance_id: str, partitions: int) -> int:
    """murmur2 of the UTF-8 id modulo the partition count, as the Java client places a key."""
    return 0 if partitions == 1 else (murmur2(instance_id.encode()) & 0x7FFFFFFF) % partitions
