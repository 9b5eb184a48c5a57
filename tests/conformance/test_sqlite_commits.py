"""Group commit: what lands in one transaction, what fails with it, what a crash keeps."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from perdure.adapters.sqlite import SqliteLog, open_database, positions
from perdure.ports.errors import CommitFailed, CommitUnknown, Fenced, StoreUnavailable
from perdure.ports.store import StoredTimer
from tests.conformance.clusters import TOPICS, SqliteCluster, SteppingClock, copy_as_on_disk
from tests.conformance.facts import Histories, Listener, everything, out, row, turn, until, values, within


@pytest.fixture
async def commits(sqlite: SqliteCluster) -> list[int]:
    """Numbers of the COMMITs from here on."""
    seen: list[int] = []
    sqlite.database._writer._after_commit = seen.append
    return seen


async def test_what_is_asked_for_in_one_tick_is_one_transaction(sqlite: SqliteCluster, commits: list[int]) -> None:
    writer = await sqlite.log.open_writer("w")
    reader = (await sqlite.log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    await asyncio.gather(
        *(sqlite.log.append([out(f"{number}")]) for number in range(50)),
        writer.commit([out("w"), out("w", 1)]),
        reader.commit(1),
        sqlite.store.append(0, 1, 1, [turn(row("a"))]),
        sqlite.timers.put(0, 0, [StoredTimer(1, "a", "x", b"")]),
    )
    assert len(commits) == 1


async def test_volatile_records_need_no_commit(sqlite: SqliteCluster, commits: list[int]) -> None:
    await sqlite.log.append([out("durable")])
    commits.clear()
    writer = await sqlite.log.open_writer("w")
    await sqlite.log.append([out("a", volatile=True)])
    await writer.commit([out("b", volatile=True)])
    await asyncio.gather(*(sqlite.log.append([out("c", volatile=True)]) for _ in range(3)))
    assert values(await everything(sqlite.log)) == ["durable", "a", "b", "c", "c", "c"]
    assert commits == []


async def test_a_lazy_position_is_written_without_any_other_write(
    sqlite: SqliteCluster, commits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positions, "LAZY_SECONDS", 0.01)
    reader = (await sqlite.log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    for offset in range(5):
        await reader.commit(offset, lazy=True)
    assert commits == []
    await until(lambda: len(commits) == 1)
    await sqlite.crash()
    reader = (await sqlite.log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    assert (await reader.committed()).offset == 4


async def test_an_unwritable_value_fails_alone(sqlite: SqliteCluster) -> None:
    reader = (await sqlite.log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    outcomes = await asyncio.gather(
        sqlite.log.append([out("a")]),
        reader.commit(1 << 70),
        sqlite.log.append([out("b")]),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), CommitFailed, type(None)]
    assert values(await everything(sqlite.log)) == ["a", "b"]
    assert (await reader.committed()).offset == -1


async def limit_pages(sqlite: SqliteCluster, more: int) -> None:
    def limit(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + more}")

    await sqlite.database.write(lambda transaction: transaction.then(limit))


async def test_a_full_disk_fails_what_was_asked_and_keeps_what_was_acknowledged(sqlite: SqliteCluster) -> None:
    writer = await sqlite.log.open_writer("w")
    zombie = await sqlite.log.open_writer("z")
    reader = (await sqlite.log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    await writer.commit([out("kept")])
    await limit_pages(sqlite, 2)
    large = out(b"x" * 100_000)
    outcomes = await asyncio.gather(
        sqlite.log.append([large]),
        writer.commit([out("small"), large]),
        writer.commit([out("behind a failed one")]),
        sqlite.store.append(0, 9, 9, [turn(row("a"))]),
        sqlite.timers.put(0, 0, [StoredTimer(1, "a", "x", b"")]),
        reader.commit(1),
        sqlite.log.append([out("volatile", volatile=True), out("a")]),
        sqlite.log.open_writer("z"),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes[:-1]]
    failed, unavailable = CommitFailed, StoreUnavailable
    assert kinds == [failed, failed, failed, unavailable, unavailable, failed, failed]
    assert "disk is full" in str(outcomes[0])
    assert values(await everything(sqlite.log)) == ["kept"]
    assert (await reader.committed()).offset == -1
    with pytest.raises(Fenced):
        await writer.commit([out("dead")])
    with pytest.raises(Fenced):
        await zombie.commit([out("zombie")])
    await outcomes[-1].commit([out("the disk has room for this")])
    await limit_pages(sqlite, 10_000)
    await sqlite.log.append([large])
    await sqlite.store.append(0, 9, 9, [turn(row("a"))])
    await sqlite.crash()
    assert len(await everything(sqlite.log)) == 3
    assert await sqlite.store.stored_to(0) == 9


async def test_offsets_reserved_by_a_failed_transaction_are_reserved_again(sqlite: SqliteCluster) -> None:
    await limit_pages(sqlite, 2)
    with pytest.raises(CommitFailed):
        await sqlite.log.append([out(b"x" * 100_000)])
    await sqlite.log.append([out("before")])
    await sqlite.crash()
    await sqlite.log.append([out("after")])
    before, after = await everything(sqlite.log)
    assert before.offset < after.offset


async def test_a_query_sees_one_moment_of_the_file(sqlite: SqliteCluster) -> None:
    begun, written = threading.Event(), threading.Event()

    def query(connection: sqlite3.Connection) -> list[int]:
        seen = [connection.execute("SELECT count(*) FROM instances").fetchone()[0]]
        begun.set()
        assert written.wait(10)
        return [*seen, connection.execute("SELECT count(*) FROM instances").fetchone()[0]]

    reading = asyncio.ensure_future(sqlite.database.read(query))
    await until(begun.is_set)
    await sqlite.store.append(0, 1, 1, [turn(row("a"))])
    written.set()
    assert await within(reading) == [0, 0]
    assert await sqlite.database.read(query) == [1, 1]


async def test_a_waiting_reader_sees_nothing_of_a_failed_transaction(sqlite: SqliteCluster) -> None:
    reader = (await sqlite.log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    read = asyncio.ensure_future(reader.read(10))
    await limit_pages(sqlite, 2)
    with pytest.raises(CommitFailed):
        await sqlite.log.append([out(b"x" * 100_000), out("v", volatile=True)])
    await sqlite.log.append([out("a")])
    assert values(await within(read)) == ["a"]


class BrokenDisk:
    """A connection whose COMMIT fails with an I/O error so many times."""

    def __init__(self, connection: sqlite3.Connection, failures: int) -> None:
        self._connection = connection
        self._failures = failures

    def __getattr__(self, name: str):
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters):
        if sql == "COMMIT" and self._failures > 0:
            self._failures -= 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self._connection.execute(sql, *parameters)


async def test_after_a_failed_sync_the_outcome_is_settled_by_a_further_commit(sqlite: SqliteCluster) -> None:
    sqlite.database._writer._connection = BrokenDisk(sqlite.database._writer._connection, failures=1)
    with pytest.raises(CommitFailed, match="disk I/O error"):
        await sqlite.log.append([out("a")])
    await sqlite.crash()
    assert await everything(sqlite.log) == []


async def test_while_nothing_settles_a_failed_sync_its_outcome_is_unknown(sqlite: SqliteCluster) -> None:
    writer = await sqlite.log.open_writer("w")
    sqlite.database._writer._connection = BrokenDisk(sqlite.database._writer._connection, failures=3)
    with pytest.raises(CommitUnknown):
        await writer.commit([out("a")])
    with pytest.raises(CommitFailed, match="earlier I/O error"):
        await sqlite.log.open_writer("w")
    writer = await sqlite.log.open_writer("w")
    await writer.commit([out("b")])
    assert values(await everything(sqlite.log)) == ["b"]


async def test_after_commit_is_called_before_anybody_is_told(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    database = await open_database(
        path, clock=SteppingClock(), after_commit=lambda number: copy_as_on_disk(path, tmp_path / f"at-{number}.db")
    )
    log = SqliteLog(database)
    cluster = SqliteCluster(tmp_path)
    cluster.log, cluster.database = log, database
    await cluster.create_topics()
    reader = (await log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    acknowledged: dict[int, int] = {}

    async def write(number: int) -> None:
        await log.append([out(f"{number}", partition) for partition in (0, 1)])
        acknowledged[number] = database._writer._commits
        await reader.commit(number, lazy=number % 2 == 0)

    for start in range(0, 40, 4):
        await asyncio.gather(*(write(number) for number in range(start, start + 4)))
    last = database._writer._commits
    await log.close()
    await database.close()
    for number in range(2, last + 1):
        copy = await open_database(tmp_path / f"at-{number}.db", clock=SteppingClock())
        found = values(await everything(SqliteLog(copy)))
        assert found == values(await everything(SqliteLog(copy), 1))
        assert found == [f"{n}" for n in range(len(found))]
        assert {n for n, commit in acknowledged.items() if commit <= number} <= set(map(int, found))
        await copy.close()


async def rows_of(sqlite: SqliteCluster) -> list[bytes]:
    table = sqlite.database.topics[TOPICS.history].name
    return await sqlite.database.read(
        lambda connection: [key for (key,) in connection.execute(f"SELECT key FROM {table} ORDER BY position")]
    )


async def test_deleting_from_the_history_takes_markers_and_leaves_events_to_the_store(sqlite: SqliteCluster) -> None:
    histories = Histories(sqlite)
    await histories.write(turn(row("a", last_seq=2), 1, 2))
    position = await histories.write(turn(row("b", last_seq=1), 1))
    await sqlite.log.delete_before(TOPICS.history, 0, position)
    assert await rows_of(sqlite) == [b"a", b"a", b"b", b""]
    assert [record.key for record in await everything(sqlite.log, topic=TOPICS.history)] == [b""]
    assert len((await sqlite.store.load(["a"]))["a"].events) == 2


async def test_events_leave_the_file_with_their_generation_their_run_and_their_purge(sqlite: SqliteCluster) -> None:
    histories = Histories(sqlite)
    await histories.write(turn(row("a", "0.0.1", last_seq=2), 1, 2), turn(row("b", last_seq=1), 1))
    await histories.write(turn(row("a", "0.0.1", 1, last_seq=1), 1))
    assert (await rows_of(sqlite)).count(b"a") == 1
    await histories.write(turn(row("a", "0.0.9", last_seq=2), 1, 2))
    assert (await rows_of(sqlite)).count(b"a") == 2
    await histories.commit(turn(row("a", "0.0.30", last_seq=1), 1))
    await histories.store(99, turn(row("a", "0.0.9", status="PURGED")))
    assert (await rows_of(sqlite)).count(b"a") == 1
    assert (await rows_of(sqlite)).count(b"b") == 1


async def test_generations_that_were_never_stored_alone_leave_too(sqlite: SqliteCluster) -> None:
    histories = Histories(sqlite)
    await histories.commit(turn(row("a", last_seq=2), 1, 2))
    await histories.write(turn(row("a", generation=1, last_seq=1), 1))
    assert (await rows_of(sqlite)).count(b"a") == 1
