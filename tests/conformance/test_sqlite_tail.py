"""The end of a partition in memory: bounded, and nothing is lost by it."""

from __future__ import annotations

import pytest

from perdure.adapters.sqlite import tail
from tests.conformance.clusters import TOPICS, SqliteCluster
from tests.conformance.facts import Listener, everything, out, values, within


async def read_all(reader, count: int) -> list[str]:
    seen: list[str] = []
    while len(seen) < count:
        seen += values(await within(reader.read(16)))
    return seen


@pytest.mark.parametrize("bound", ["RECORDS_MAX", "BYTES_MAX"])
async def test_a_backlog_beyond_memory_is_read_in_order_volatile_records_too(
    sqlite: SqliteCluster, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(tail, bound, 30)
    for number in range(200):
        await sqlite.log.append([out(f"{number}", volatile=number % 3 == 0)])
    source = sqlite.database.source(TOPICS.instances, 0)
    assert len(source._records) <= 30
    reader = (await sqlite.log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    assert await read_all(reader, 200) == [f"{number}" for number in range(200)]
    reader.seek(0)
    assert await read_all(reader, 200) == [f"{number}" for number in range(200)]


async def test_what_all_readers_have_passed_is_dropped(sqlite: SqliteCluster) -> None:
    readers = [
        (await sqlite.log.join(group, [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
        for group in ("one", "other")
    ]
    source = sqlite.database.source(TOPICS.instances, 0)
    await sqlite.log.append([out(f"{number}") for number in range(50)])
    await within(readers[0].read(100))
    assert len(source._records) == 50
    await within(readers[1].read(100))
    assert (source._records, source._bytes) == ([], 0)


async def test_volatile_records_are_kept_until_a_group_has_committed_past_them(sqlite: SqliteCluster) -> None:
    reader = (await sqlite.log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    source = sqlite.database.source(TOPICS.instances, 0)
    await sqlite.log.append([out(f"{number}", volatile=True) for number in range(10)])
    records = await within(reader.read(100))
    assert source._records == []
    reader.seek(records[4].offset)
    assert await read_all(reader, 6) == ["4", "5", "6", "7", "8", "9"]
    await reader.commit(records[4].offset)
    assert len(source._volatile) == 6
    await reader.commit(reader.position, lazy=True)
    assert len(source._volatile) == 0


async def test_too_many_volatile_records_are_written_instead(
    sqlite: SqliteCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "VOLATILE_MAX", 5)
    for number in range(12):
        await sqlite.log.append([out(f"{number}", volatile=True)])
    assert values(await everything(sqlite.log)) == [f"{number}" for number in range(12)]
    await sqlite.crash()
    assert values(await everything(sqlite.log)) == [f"{number}" for number in range(5, 12)]


async def test_the_history_is_not_kept_in_memory(sqlite: SqliteCluster) -> None:
    await sqlite.log.append([out("a", topic=TOPICS.history)])
    assert sqlite.database.source(TOPICS.history, 0)._records == []
    assert values(await everything(sqlite.log, topic=TOPICS.history)) == ["a"]
