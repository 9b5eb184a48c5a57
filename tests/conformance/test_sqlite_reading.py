"""Reading a file beside its owner, or without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure.adapters.sqlite.reading import DatabaseReading
from perdure.ports.errors import DatabaseDamaged, StoreUnavailable
from perdure.ports.store import Filter
from tests.conformance.clusters import SqliteCluster, copy_as_on_disk
from tests.conformance.facts import Histories, row, turn


async def fill(sqlite: SqliteCluster) -> None:
    histories = Histories(sqlite)
    await histories.write(turn(row("a", last_seq=1), 1), turn(row("b", last_seq=1, created_at_us=9_000), 1))
    await histories.commit(turn(row("a", last_seq=2), 2))


def check(path: Path) -> None:
    with DatabaseReading(path) as reading:
        assert [of.instance_id for of in reading.page(Filter(), 10).rows] == ["b", "a"]
        page = reading.page(Filter(), 1)
        assert [of.instance_id for of in reading.page(Filter(), 1, page.next).rows] == ["a"]
        found = reading.row("a")
        assert found == row("a", last_seq=1)
        assert [event.seq for event in reading.events(found)] == [1, 2]
        assert reading.row("never") is None
        with pytest.raises(ValueError, match="page token"):
            reading.page(Filter(), 1, "x")


async def test_a_file_is_read_beside_its_owner_who_goes_on(sqlite: SqliteCluster) -> None:
    await fill(sqlite)
    with DatabaseReading(sqlite.path) as reading:
        await Histories(sqlite).write(turn(row("c", created_at_us=99_000)))
        assert reading.page(Filter(), 1).rows[0].instance_id == "c"
    await sqlite.store.append(0, 1, 99, [turn(row("c", created_at_us=99_000, status="PURGED"))])
    check(sqlite.path)


async def test_a_closed_file_is_read_and_left_as_it_is(sqlite: SqliteCluster) -> None:
    await fill(sqlite)
    await sqlite.close()
    check(sqlite.path)
    assert [entry.name for entry in sqlite.path.parent.iterdir()] == [sqlite.path.name]
    await sqlite.open()


async def test_what_a_crash_left_is_read(sqlite: SqliteCluster, tmp_path: Path) -> None:
    await fill(sqlite)
    copy_as_on_disk(sqlite.path, tmp_path / "crashed.db")
    check(tmp_path / "crashed.db")


async def test_a_tombstone_has_no_events(sqlite: SqliteCluster) -> None:
    await fill(sqlite)
    await Histories(sqlite).write(turn(row("a", status="PURGED")))
    with DatabaseReading(sqlite.path) as reading:
        found = reading.row("a")
        assert (found.status, reading.events(found)) == ("PURGED", [])


def test_a_file_that_is_not_there_or_is_no_database_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no database"):
        DatabaseReading(tmp_path / "nowhere.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notes.db").write_bytes(b"these are my notes, " * 500)
    with pytest.raises(DatabaseDamaged, match="no Perdure database"):
        DatabaseReading(tmp_path / "notes.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(DatabaseDamaged, match="not Perdure's"):
        DatabaseReading(tmp_path / "empty.db")
