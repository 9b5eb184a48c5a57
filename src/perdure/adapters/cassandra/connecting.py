"""Connecting: one way for services, bootstrap and tests. Blocking.

The law: the libev reactor or none. The driver would fall back on a reactor of asyncio or of a thread that polls, at
twice the CPU, without a word.
"""

from __future__ import annotations

from typing import Any

from cassandra import ConsistencyLevel, DriverException, ProtocolVersion, UnresolvableContactPoints
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.query import tuple_factory

from perdure.adapters.cassandra.errors import unavailable
from perdure.adapters.cassandra.settings import CassandraSettings
from perdure.ports.errors import PortError

__all__ = ["connect", "reactor"]

RECONNECT_SECONDS = 1.0  # to a node that was lost; the driver's own pauses grow to ten minutes, long after it is back


def reactor() -> type[Any]:
    """The driver's libev connection class. Raises PortError where it was built without."""
    try:
        from perdure.adapters.cassandra.connection import QueueingConnection  # noqa: PLC0415 - a missing libev is to be told in words
    except Exception as error:  # noqa: BLE001 - the driver raises several kinds where the extension is missing
        raise PortError(
            "cassandra-driver was installed without its libev reactor: install a wheel that has it (Debian slim images"
            f" do, Alpine's musl has none), or libev's headers and a compiler before building it ({error})"
        ) from None
    return QueueingConnection


def connect(settings: CassandraSettings) -> tuple[Any, Any]:
    """(cluster, session). Raises StoreUnavailable, PortError."""
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
    try:
        cluster = Cluster(
            contact_points=list(settings.hosts),
            port=settings.hosts[0][1],
            auth_provider=provider,
            ssl_context=security.ssl_context(),
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            connection_class=connection_class,
            protocol_version=ProtocolVersion.V4,  # V5 adds checksums that the driver computes in Python, and nothing used here
            connect_timeout=settings.connect_timeout_s,
            reconnection_policy=ConstantReconnectionPolicy(RECONNECT_SECONDS, max_attempts=None),
            schema_event_refresh_window=-1,  # whoever changes a table on the cluster is no reason to read all of its tables
            control_connection_timeout=settings.connect_timeout_s,
        )
    except UnresolvableContactPoints as error:
        raise unavailable(settings, error) from error
    try:
        return cluster, cluster.connect()
    except (DriverException, NoHostAvailable, OSError) as error:
        cluster.shutdown()
        raise unavailable(settings, error) from error
