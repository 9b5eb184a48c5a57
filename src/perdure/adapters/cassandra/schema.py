"""Making and checking the tables.

The law: no statement is undone or overwritten by another bootstrap at the same time. Each may run twice, versions are
rows of their own, and all changes go to one node, the first by address, which does one after the other. Cassandra 5
orders changes of one node only: two nodes that make a table at once give it two ids. So where bootstraps see different
nodes as the first (one is down for one of them), they still may collide; then the nodes do not agree, which is told.
A lock would need a lightweight transaction in a table that is itself to be made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from cassandra import DriverException, InvalidRequest, Unauthorized
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import ErrorMessage

from perdure.adapters.cassandra.connecting import connect
from perdure.adapters.cassandra.errors import unavailable
from perdure.adapters.cassandra.migrations import Migration, known_migrations
from perdure.adapters.cassandra.settings import CassandraSettings
from perdure.ports.errors import PortError, StoreUnavailable

__all__ = ["SCHEMA_VERSION", "check_schema", "create_schema", "keyspace_statement", "schema_statements"]

SCHEMA_VERSION = known_migrations()[-1].version

CHANGE_SECONDS_MAX = 60.0
"""For one statement: all nodes must have heard of it."""


def keyspace_statement(keyspace: str, replication: Mapping[str, int]) -> str:
    """`replication`: copies by data centre; {"": n} for a development cluster without any."""
    if "" in replication:
        options = f"'class': 'SimpleStrategy', 'replication_factor': {replication['']}"
    else:
        copies = "".join(f", '{_name(dc)}': {count}" for dc, count in replication.items())
        options = f"'class': 'NetworkTopologyStrategy'{copies}"
    return f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{{options}}}"


def _name(data_centre: str) -> str:
    if "'" in data_centre:
        raise ValueError(f"{data_centre!r} is no data centre's name")
    return data_centre


def schema_statements(version: int) -> list[str]:
    """What leads to this version from the one before, and says so; in the keyspace that is in use."""
    return _statements(known_migrations()[version - 1])


def _statements(migration: Migration) -> list[str]:
    version, name, statements = migration
    said = f"INSERT INTO schema_versions (component, version, name) VALUES ('store', {version}, '{name}')"  # noqa: S608 - a file's name
    return [*statements, said]


async def create_schema(
    settings: CassandraSettings, replication: Mapping[str, int], migrations: Sequence[Migration] | None = None
) -> None:
    """Keyspace and tables: what is missing. Raises StoreUnavailable, and PortError for a keyspace that is newer."""
    await asyncio.to_thread(_create, settings, replication, migrations or known_migrations())


def _create(settings: CassandraSettings, replication: Mapping[str, int], migrations: Sequence[Migration]) -> None:
    cluster, session = connect(settings)
    cluster.max_schema_agreement_wait = CHANGE_SECONDS_MAX
    node = min((pool.host for pool in session.get_pools()), key=lambda host: host.endpoint)

    def change(statement: str) -> None:
        done = session.execute(statement, timeout=CHANGE_SECONDS_MAX, host=node)
        if not done.response_future.is_schema_agreed:
            raise StoreUnavailable(
                f"the nodes of Cassandra at {settings.shown_hosts} do not agree on their schema: wait until all are up"
                " (`nodetool describecluster`), then run `perdure bootstrap` again"
            )

    try:
        try:
            change(keyspace_statement(settings.keyspace, replication))
        except Unauthorized:  # asked of whoever has been given a keyspace, too
            if not _exists(session, settings.keyspace):
                raise
        session.set_keyspace(settings.keyspace)
        applied = _applied(session, settings)
        _refuse_newer(applied, migrations, settings)
        for migration in migrations:
            if migration.version not in applied:
                for statement in _statements(migration):
                    change(statement)
    except (DriverException, NoHostAvailable, ErrorMessage) as error:
        raise unavailable(settings, error) from error
    finally:
        cluster.shutdown()


def check_schema(session: Any, settings: CassandraSettings, migrations: Sequence[Migration] | None = None) -> None:
    """Raises PortError unless the keyspace holds these versions (this Perdure's) and no later one."""
    known = migrations or known_migrations()
    applied = _applied(session, settings)
    _refuse_newer(applied, known, settings)
    missing = [f"{each.version} ({each.name})" for each in known if each.version not in applied]
    if missing:
        raise PortError(
            f"keyspace {settings.keyspace} at {settings.shown_hosts} has schema version {max(applied, default=0)} (0:"
            f" none) and lacks version {', '.join(missing)}: run `perdure bootstrap` of this version, then start again"
        )


def _exists(session: Any, keyspace: str) -> bool:
    rows = session.execute("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = %s", (keyspace,))
    return rows.one() is not None


def _refuse_newer(applied: set[int], known: Sequence[Migration], settings: CassandraSettings) -> None:
    if applied and max(applied) > known[-1].version:
        raise PortError(
            f"keyspace {settings.keyspace} at {settings.shown_hosts} has schema version {max(applied)}, and this"
            f" Perdure knows {known[-1].version}: upgrade this process"
        )


def _applied(session: Any, settings: CassandraSettings) -> set[int]:
    versions = f"SELECT version FROM {settings.keyspace}.schema_versions WHERE component = 'store'"  # noqa: S608 - the settings checked its form
    try:
        return {version for (version,) in session.execute(versions)}
    except InvalidRequest:  # no such keyspace or table: system_schema may show one already that is only being made
        return set()
