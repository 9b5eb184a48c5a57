"""An open session and its prepared statements. What blocks runs in a thread."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Any

from cassandra import DriverException
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import ErrorMessage

from perdure.adapters.cassandra.connecting import connect
from perdure.adapters.cassandra.errors import unavailable
from perdure.adapters.cassandra.requests import Requests
from perdure.adapters.cassandra.schema import check_schema
from perdure.adapters.cassandra.settings import CassandraSettings

__all__ = ["Driver", "open_driver", "queries"]

ROWS_PER_PAGE = {"get_history": 50, "get_timers": 1_000}  # rows of history may be large
OTHER_ROWS_PER_PAGE = 5_000

FAILURES = (DriverException, NoHostAvailable, ErrorMessage)


class Driver:
    """An open session and the statements of queries.cql. Thread-safe, and of no event loop."""

    def __init__(self, settings: CassandraSettings, cluster: Any, session: Any, statements: dict[str, Any]) -> None:
        self.settings = settings
        self.session = session
        self.statements = statements
        self._cluster = cluster

    def requests(self) -> Requests:
        """For one event loop."""
        return Requests(self)

    async def close(self) -> None:
        await asyncio.to_thread(self._cluster.shutdown)


async def open_driver(settings: CassandraSettings) -> Driver:
    """Raises StoreUnavailable, and PortError for a schema that is not this version's or a driver without libev."""
    return await asyncio.to_thread(_open, settings)


def queries(keyspace: str) -> dict[str, str]:
    """Of queries.cql, by name."""
    text = (files(__package__) / "queries.cql").read_text("utf-8")
    named = (block.partition("\n") for block in text.split("\n-- ")[1:])
    return {name: query.strip().rstrip(";").replace("{keyspace}", keyspace) for name, _, query in named}


def _open(settings: CassandraSettings) -> Driver:
    cluster, session = connect(settings)
    try:
        _check(session, settings)
        return Driver(settings, cluster, session, _prepared(session, settings))
    except BaseException:
        cluster.shutdown()
        raise


def _check(session: Any, settings: CassandraSettings) -> None:
    try:
        check_schema(session, settings)
    except FAILURES as error:
        raise unavailable(settings, error) from error


def _prepared(session: Any, settings: CassandraSettings) -> dict[str, Any]:
    statements = {}
    for name, query in queries(settings.keyspace).items():
        try:
            prepared = session.prepare(query)
        except FAILURES as error:
            raise unavailable(settings, error) from error
        prepared.is_idempotent = True  # every write carries its timestamp
        prepared.fetch_size = ROWS_PER_PAGE.get(name, OTHER_ROWS_PER_PAGE)
        statements[name] = prepared
    return statements
