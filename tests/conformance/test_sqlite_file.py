"""The file: who may open it, what is refused, what closing leaves."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from perdure.adapters.sqlite import SqliteHistoryStore, SqliteLog, open_database
from perdure.core.names import Topics
from perdure.ports.errors import DatabaseDamaged, DatabaseInUse, LogClosed, StoreUnavailable, TopicMismatch
from perdure.ports.log import TopicSpec
from tests.conformance.clusters import TOPICS, SqliteCluster, SteppingClock
from tests.conformance.facts import everything, out, values


async def open_and_close(path: Path) -> None:
    await (await open_database(path, clock=SteppingClock())).close()


async def test_a_second_owner_is_told_who_the_first_one_is_and_what_to_do(sqlite: SqliteCluster) -> None:
    with pytest.raises(DatabaseInUse, match=rf"process {os.getpid()}.*perdure list --db"):
        await open_database(sqlite.path, clock=SteppingClock())
    await sqlite.log.append([out("a")])
    assert values(await everything(sqlite.log)) == ["a"]


async def test_closing_frees_the_file_and_leaves_nothing_beside_it(sqlite: SqliteCluster) -> None:
    await sqlite.log.append([out("a")])
    for _ in range(3):
        await sqlite.close()
        assert [entry.name for entry in sqlite.path.parent.iterdir()] == [sqlite.path.name]
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("perdure-sqlite")]
        await sqlite.open()
    assert values(await everything(sqlite.log)) == ["a"]


async def test_closing_twice_is_harmless_and_everything_else_is_refused(sqlite: SqliteCluster) -> None:
    await sqlite.database.close()
    await sqlite.database.close()
    with pytest.raises(LogClosed):
        await sqlite.log.append([out("a")])
    with pytest.raises(StoreUnavailable, match="closed"):
        await sqlite.store.load(["a"])
    with pytest.raises(StoreUnavailable, match="closed"):
        await sqlite.timers.drop_slice(0, 0, 0)


async def test_the_lock_file_of_a_dead_owner_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "one.db-owner").write_text("99999")
    await open_and_close(tmp_path / "one.db")


async def test_a_forgotten_close_does_not_block_the_exit_of_the_interpreter(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from perdure.adapters.sqlite import open_database, SqliteLog
from perdure.adapters.system import SystemClock
from perdure.ports.log import Outgoing, TopicSpec

async def main():
    log = SqliteLog(await open_database(sys.argv[1], clock=SystemClock()))
    await log.create_topics([TopicSpec("t", 1)])
    await log.append([Outgoing("t", 0, b"k", b"kept")])

asyncio.run(main())
print("done")
"""
    path = tmp_path / "one.db"
    run = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True, text=True, timeout=30, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")
    database = await open_database(path, clock=SteppingClock())
    assert values(await everything(SqliteLog(database), topic="t")) == ["kept"]
    await database.close()


@pytest.mark.parametrize("content", [b"these are my notes, " * 500, b"\x00" * 8192])
async def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(DatabaseDamaged, match=r"notes\.db is damaged or no Perdure database"):
            await open_database(path, clock=SteppingClock())
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.db"]


async def test_somebody_elses_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE precious (data)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseDamaged, match="not Perdure's"):
        await open_database(path, clock=SteppingClock())
    assert path.read_bytes() == before


async def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    await open_and_close(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DatabaseDamaged, match="schema version 99"):
        await open_database(path, clock=SteppingClock())


async def test_damaged_pages_are_found_at_the_start(sqlite: SqliteCluster) -> None:
    await sqlite.log.append([out("x" * 5_000) for _ in range(50)])
    await sqlite.close()
    content = bytearray(sqlite.path.read_bytes())
    for page in range(4, len(content) // 4096):
        content[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    sqlite.path.write_bytes(content)
    with pytest.raises(DatabaseDamaged, match="restore a copy"):
        await sqlite.open()
    sqlite.path.unlink()
    await sqlite.open()


async def test_a_truncated_file_is_refused(sqlite: SqliteCluster) -> None:
    await sqlite.log.append([out("x" * 5_000) for _ in range(50)])
    await sqlite.close()
    content = sqlite.path.read_bytes()
    sqlite.path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatabaseDamaged):
        await sqlite.open()
    sqlite.path.unlink()
    await sqlite.open()


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "one.db").touch()
    await open_and_close(tmp_path / "one.db")
    await open_and_close(tmp_path / "one.db")


async def test_a_path_that_cannot_be_used_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="Its folder must exist"):
        await open_database(tmp_path / "nowhere" / "one.db", clock=SteppingClock())
    with pytest.raises(StoreUnavailable, match="unable to open"):
        await open_database(tmp_path, clock=SteppingClock())


async def test_a_file_belongs_to_one_namespace(sqlite: SqliteCluster) -> None:
    await sqlite.reopen()
    with pytest.raises(TopicMismatch, match="belongs to the namespace test, not other"):
        SqliteHistoryStore(sqlite.database, Topics("other"))


async def test_a_history_topic_that_was_there_before_its_store_is_taken_over(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "one.db", clock=SteppingClock())
    log = SqliteLog(database)
    await log.create_topics([TopicSpec(TOPICS.history, 1)])
    await log.append([out("a", topic=TOPICS.history)])
    SqliteHistoryStore(database, TOPICS)
    await log.delete_before(TOPICS.history, 0, 1)
    await database.close()
    connection = sqlite3.connect(tmp_path / "one.db")
    assert connection.execute("SELECT count(*) FROM records_1").fetchone() == (1,)
    connection.close()
