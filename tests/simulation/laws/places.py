"""Which partition an instance lives in: Kafka's default partitioner (murmur2), from its description."""

from __future__ import annotations

from functools import cache

MASK = 0xFFFFFFFF
FACTOR = 0x5BD1E995


@cache
def home(instance, partitions):
    return (_murmur2(instance.encode()) & 0x7FFFFFFF) % partitions


def _murmur2(data):
    mixed = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * FACTOR & MASK
        word = (word ^ word >> 24) * FACTOR & MASK
        mixed = (mixed * FACTOR & MASK) ^ word
    if data[whole:]:
        mixed = (mixed ^ int.from_bytes(data[whole:], "little")) * FACTOR & MASK
    mixed = (mixed ^ mixed >> 13) * FACTOR & MASK
    return mixed ^ mixed >> 15
