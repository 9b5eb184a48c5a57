"""Records of the log that are older than somebody may still want them.

The place up to which they are is looked for among the records themselves, whose times (the log's own) grow with their
offsets: nothing is remembered, a successor finds the same. Times of a clock that was set back are off by as much.
"""

from __future__ import annotations

from perdure.ports.log import Log

__all__ = ["delete_older", "first_younger"]


async def first_younger(log: Log, topic: str, partition: int, end: int, before_ms: int) -> int:
    """The lowest offset, `end` at most, below which every record's time is before `before_ms`. Raises PortError.

    A fetch of one record for each halving of what lies between; a single one where nothing is old enough.
    """
    low, last = await log.bounds(topic, partition)
    high, middle = min(end, last), low
    while low < high:
        found = await log.fetch(topic, partition, middle, 1)
        if found and found[0].offset < high and found[0].timestamp_ms < before_ms:
            low = found[0].offset + 1
        else:
            high = middle
        middle = (low + high) // 2
    return min(low, end)  # the log's own retention may have gone further


async def delete_older(log: Log, topic: str, partition: int, end: int, before_ms: int) -> int:
    """Let the log go of what is older and below `end`; how many offsets that were. Raises PortError."""
    start, _ = await log.bounds(topic, partition)
    kept_from = await first_younger(log, topic, partition, end, before_ms)
    if kept_from <= start:
        return 0
    await log.delete_before(topic, partition, kept_from)
    return kept_from - start
