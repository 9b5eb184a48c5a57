"""An open session and its prepared statements. What blocks runs in a thread."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Any

from cassandra import DriverException
from cassandra.cluster import NoHostAvailable

from perdure.adapters.cassandra.connecting import connect
from perdure.adapters.cassandra.errors import unavailable
from perdure.adapters.cassandra.schema import check_version
from perdure.adapters.cassandra.settings import CassandraSettings

__all__ = ["Driver", "open_driver"]

ROWS_PER_PAGE = {"get_history": 50, "get_timers": 1_000}  # rows of history may be large
OTHER_ROWS_PER_PAGE = 5_000


class Driver:
    """An open session and the statements of queries.cql. Thread-safe, and of no event loop."""

    def __init__(self, settings: CassandraSettings, cluster: Any, session: Any, statements: dict[str, Any]) -> None:
        self.settings = settings
        self.session = session
        self.statements = statements
        self._cluster = cluster

    async def close(self) -> None:
        await asyncio.to_thread(self._cluster.shutdown)


async def open_driver(settings: CassandraSettings) -> Driver:
    """Raises StoreUnavailable, and PortError for a schema that is not this version's or a driver without libev."""
    return await asyncio.to_thread(_open, settings)


def _open(settings: CassandraSettings) -> Driver:
    cluster, session = connect(settings)
    try:
        check_version(session, settings)
        return Driver(settings, cluster, session, _prepared(session, settings.keyspace))
    except (DriverException, NoHostAvailable) as error:
        cluster.shutdown()
        raise unavailable(settings, error) from error
    except BaseException:
        cluster.shutdown()
        raise


def _prepared(session: Any, keyspace: str) -> dict[str, Any]:
    statements = {}
    text = (files(__package__) / "queries.cql").read_text()
    for block in text.split("\n-- ")[1:]:
        name, _, query = block.partition("\n")
        prepared = session.prepare(query.strip().rstrip(";").replace("{keyspace}", keyspace))
        prepared.is_idempotent = True  # every write carries its timestamp
        prepared.fetch_size = ROWS_PER_PAGE.get(name, OTHER_ROWS_PER_PAGE)
        statements[name] = prepared
    return statements
