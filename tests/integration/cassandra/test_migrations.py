"""Versions of the schema: applied in order, once or twice, from wherever an earlier bootstrap ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perdure.adapters.cassandra import SCHEMA_VERSION, CassandraSettings, create_schema, open_driver, schema_statements
from perdure.adapters.cassandra.connecting import connect
from perdure.adapters.cassandra.migrations import Migration, known_migrations, read_migrations
from perdure.adapters.cassandra.schema import check_schema
from perdure.ports.errors import PortError, StoreUnavailable

NEXT = Migration(
    SCHEMA_VERSION + 1,
    "colours",
    (
        "ALTER TABLE instances ADD IF NOT EXISTS colour text",
        "CREATE TABLE IF NOT EXISTS colours (colour text PRIMARY KEY)",
    ),
)
BROKEN = NEXT._replace(statements=(NEXT.statements[0], "CREATE TABLE IF NOT EXISTS this is none", NEXT.statements[1]))


@pytest.fixture
def settings(cassandra_settings: CassandraSettings) -> CassandraSettings:
    """A keyspace of the test's own."""
    return replace(cassandra_settings, keyspace=f"m{os.getpid()}x{os.urandom(4).hex()}")


@pytest.fixture
async def session(settings: CassandraSettings) -> AsyncIterator[Any]:
    cluster, opened = await asyncio.to_thread(connect, settings)
    yield opened
    await asyncio.to_thread(opened.execute, f"DROP KEYSPACE IF EXISTS {settings.keyspace}", timeout=60)
    await asyncio.to_thread(cluster.shutdown)


def columns(session: Any, settings: CassandraSettings, table: str) -> set[str]:
    query = "SELECT column_name FROM system_schema.columns WHERE keyspace_name = %s AND table_name = %s"
    return {name for (name,) in session.execute(query, (settings.keyspace, table))}


def versions(session: Any, settings: CassandraSettings) -> list[tuple[int, str]]:
    return [tuple(row) for row in session.execute(f"SELECT version, name FROM {settings.keyspace}.schema_versions")]


async def test_a_later_version_brings_what_is_missing_and_keeps_what_is_there(settings, session) -> None:
    known = known_migrations()
    await create_schema(settings, {"": 1})
    session.execute(f"INSERT INTO {settings.keyspace}.days (namespace, kind, day) VALUES ('n', 'k', 7)")
    with pytest.raises(PortError, match=rf"lacks version {NEXT.version} \(colours\): run `perdure bootstrap`"):
        check_schema(session, settings, [*known, NEXT])
    await create_schema(settings, {"": 1}, [*known, NEXT])
    check_schema(session, settings, [*known, NEXT])
    assert versions(session, settings) == [*((each.version, each.name) for each in known), (NEXT.version, "colours")]
    assert "colour" in columns(session, settings, "instances")
    assert columns(session, settings, "colours") == {"colour"}
    assert list(session.execute(f"SELECT day FROM {settings.keyspace}.days")) == [(7,)]


async def test_a_newer_keyspace_is_refused_by_services_and_by_an_older_bootstrap(settings, session) -> None:
    await create_schema(settings, {"": 1}, [*known_migrations(), NEXT])
    says = f"version {NEXT.version}, and this Perdure knows {SCHEMA_VERSION}: upgrade"
    with pytest.raises(PortError, match=says):
        await open_driver(settings)
    with pytest.raises(PortError, match=says):
        await create_schema(settings, {"": 1})


async def test_a_bootstrap_that_died_between_two_statements_is_finished_by_the_next(settings, session) -> None:
    known = known_migrations()
    with pytest.raises(StoreUnavailable):
        await create_schema(settings, {"": 1}, [*known, BROKEN])
    assert "colour" in columns(session, settings, "instances")
    with pytest.raises(PortError, match="lacks version"):
        check_schema(session, settings, [*known, NEXT])
    await create_schema(settings, {"": 1}, [*known, NEXT])
    check_schema(session, settings, [*known, NEXT])
    assert columns(session, settings, "colours") == {"colour"}


async def test_bootstraps_at_once_end_with_one_schema(settings, session) -> None:
    """Of two versions: the older one may end last, and takes nothing back."""
    known = known_migrations()
    ends = await asyncio.gather(
        *(create_schema(settings, {"": 1}, some) for some in (known, [*known, NEXT], known, [*known, NEXT])),
        return_exceptions=True,
    )
    assert all(end is None or "upgrade this process" in str(end) for end in ends), ends
    check_schema(session, settings, [*known, NEXT])


async def test_the_statements_shown_for_review_make_a_keyspace_that_is_accepted(settings, session) -> None:
    session.execute(
        f"CREATE KEYSPACE {settings.keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
    )
    session.set_keyspace(settings.keyspace)
    for version in range(1, SCHEMA_VERSION + 1):
        for statement in schema_statements(version):
            await asyncio.to_thread(session.execute, statement, timeout=60)
    await (await open_driver(settings)).close()


def test_every_statement_may_run_twice() -> None:
    statements = [statement for migration in known_migrations() for statement in migration.statements]
    assert statements
    assert all("IF NOT EXISTS" in statement or "IF EXISTS" in statement for statement in statements)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "002_later.cql").write_text("-- why; and more\nCREATE b;\n")
    yield tmp_path


def test_versions_are_read_in_order_without_comments(folder: Path) -> None:
    (folder / "001_first.cql").write_text("CREATE a;\nCREATE\n  aa;\n")
    assert read_migrations(folder.iterdir()) == (
        Migration(1, "first", ("CREATE a", "CREATE\n  aa")),
        Migration(2, "later", ("CREATE b",)),
    )


def test_a_version_that_is_left_out_or_has_no_number_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"are \[2\]: they begin at 1"):
        read_migrations(folder.iterdir())
    (folder / "first.cql").write_text("")
    with pytest.raises(ValueError, match=r"first\.cql is no migration"):
        read_migrations(folder.iterdir())
