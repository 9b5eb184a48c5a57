"""Making and checking the tables. Versions are files: schema.cql is 1, schema-2.cql the step to 2, and so on.

Each is run before its number is written and may run twice, so that an interrupted or a second bootstrap finishes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from cassandra import DriverException
from cassandra.cluster import NoHostAvailable

from perdure.adapters.cassandra.connecting import connect
from perdure.adapters.cassandra.errors import unavailable
from perdure.adapters.cassandra.settings import CassandraSettings
from perdure.ports.errors import PortError

__all__ = ["SCHEMA_VERSION", "check_version", "create_schema", "keyspace_statement", "schema_statements"]

SCHEMA_VERSION = 1

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
    """The statements that lead to this version from the one before, without comments."""
    file = "schema.cql" if version == 1 else f"schema-{version}.cql"
    lines = (files(__package__) / file).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return [statement.strip() for statement in text.split(";") if statement.strip()]


async def create_schema(settings: CassandraSettings, replication: Mapping[str, int]) -> None:
    """Keyspace and tables, of this version; idempotent. Raises StoreUnavailable, PortError."""
    await asyncio.to_thread(_create, settings, replication)


def _create(settings: CassandraSettings, replication: Mapping[str, int]) -> None:
    cluster, session = connect(settings)
    try:
        session.execute(keyspace_statement(settings.keyspace, replication), timeout=CHANGE_SECONDS_MAX)
        session.set_keyspace(settings.keyspace)
        for version in range(_version(session, settings) + 1, SCHEMA_VERSION + 1):
            for statement in schema_statements(version):
                session.execute(statement, timeout=CHANGE_SECONDS_MAX)
            session.execute("INSERT INTO schema_version (component, version) VALUES ('store', %s)", (version,))
    except (DriverException, NoHostAvailable) as error:
        raise unavailable(settings, error) from error
    finally:
        cluster.shutdown()


def check_version(session: Any, settings: CassandraSettings) -> None:
    """Raises PortError unless the keyspace holds this version."""
    found = _version(session, settings)
    if found > SCHEMA_VERSION:
        raise PortError(
            f"keyspace {settings.keyspace} has schema version {found}, this Perdure knows {SCHEMA_VERSION}: upgrade it"
        )
    if found < SCHEMA_VERSION:
        raise PortError(
            f"keyspace {settings.keyspace} at {settings.shown_hosts} has schema version {found} (0: none), "
            f"{SCHEMA_VERSION} is needed: `perdure bootstrap` makes it"
        )


def _version(session: Any, settings: CassandraSettings) -> int:
    known = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s AND table_name = 'schema_version'"
    if not list(session.execute(known, (settings.keyspace,))):
        return 0
    rows = list(session.execute(f"SELECT version FROM {settings.keyspace}.schema_version WHERE component = 'store'"))  # noqa: S608 - the settings checked its form
    return int(rows[0][0]) if rows else 0
