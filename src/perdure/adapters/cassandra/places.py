"""Where rows lie: days, shards, and what Cassandra does not take as a key."""

from __future__ import annotations

from zlib import crc32

__all__ = ["SHARDS", "day_of", "first_us", "instance_key", "shard_of", "visible_at"]

DAY_US = 86_400_000_000

SHARDS = 16
"""Partitions of a day's listing. 400 starts a second make two million rows a day in each, about 150 MB."""


def day_of(time_us: int) -> int:
    return time_us // DAY_US


def first_us(day: int) -> int:
    return day * DAY_US


def shard_of(instance_id: str) -> int:
    return crc32(instance_id.encode()) % SHARDS


def visible_at(instance_id: str, created_at_us: int) -> tuple[int, int, int, str]:
    """The key of its row in `visibility`: day and shard are the partition, the youngest come first."""
    return day_of(created_at_us), shard_of(instance_id), -created_at_us, instance_id


def instance_key(instance_id: str) -> str:
    """No id of ours holds a NUL; an empty one from a stranger still has its place."""
    return instance_id or "\0"
