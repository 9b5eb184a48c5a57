"""The driver's cluster, session and prepared statements. Everything here blocks; `open_driver` runs it in a thread.

The law: the libev reactor or none. The driver would fall back on a reactor of asyncio or of a thread that polls, at
twice the CPU, without a word.
"""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Any

from cassandra import ConsistencyLevel, DriverException
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.query import tuple_factory

from perdure.adapters.cassandra.errors import unavailable
from perdure.adapters.cassandra.schema import check_version
from perdure.adapters.cassandra.settings import CassandraSettings
from perdure.ports.errors import PortError

__all__ = ["Driver", "connect", "open_driver", "reactor"]

ROWS_PER_PAGE = {"get_history": 50, "get_timers": 1_000}  # rows of history may be large
OTHER_ROWS_PER_PAGE = 5_000


def reactor() -> type[Any]:
    """The driver's libev connection class. Raises PortError where it was built without."""
    try:
        from cassandra.io.libevreactor import LibevConnection  # noqa: PLC0415 - a missing one is to be told in words
    except Exception as error:
        raise PortError(
            "cassandra-driver was installed without its libev reactor: install a wheel that has it (Debian slim images"
            f" do, Alpine's musl has none), or libev's headers and a compiler before building it ({error})"
        ) from None
    return LibevConnection  # type: ignore[no-any-return]


def connect(settings: CassandraSettings, keyspace: str | None) -> tuple[Any, Any]:
    """Blocking: (cluster, session). Raises StoreUnavailable, PortError."""
    connection_class = reactor()
    security = settings.security
    provider = security.auth_provider
    if provider is None and security.username is not None:
        provider = PlainTextAuthProvider(security.username, security.password or "")
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=settings.local_dc)),
        consistency_level=ConsistencyLevel.name_to_value[settings.consistency],
        request_timeout=settings.request_timeout_s,
        row_factory=tuple_factory,
    )
    cluster = Cluster(
        contact_points=list(settings.hosts),
        port=settings.hosts[0][1],
        auth_provider=provider,
        ssl_context=security.ssl_context(),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connection_class=connection_class,
        connect_timeout=settings.connect_timeout_s,
        control_connection_timeout=settings.connect_timeout_s,
    )
    try:
        return cluster, cluster.connect(keyspace)
    except (DriverException, NoHostAvailable, OSError) as error:
        cluster.shutdown()
        raise unavailable(settings, error) from error


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
    cluster, session = connect(settings, None)
    try:
        check_version(session, settings)
        session.set_keyspace(settings.keyspace)
        return Driver(settings, cluster, session, _prepared(session))
    except (DriverException, NoHostAvailable) as error:
        cluster.shutdown()
        raise unavailable(settings, error) from error
    except BaseException:
        cluster.shutdown()
        raise


def _prepared(session: Any) -> dict[str, Any]:
    statements = {}
    text = (files(__package__) / "queries.cql").read_text()
    for block in text.split("\n-- ")[1:]:
        name, _, query = block.partition("\n")
        prepared = session.prepare(query.strip().rstrip(";"))
        prepared.is_idempotent = True  # every write carries its timestamp
        prepared.fetch_size = ROWS_PER_PAGE.get(name, OTHER_ROWS_PER_PAGE)
        statements[name] = prepared
    return statements
