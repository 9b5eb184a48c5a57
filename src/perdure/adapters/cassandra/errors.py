"""The driver's errors in the port's words."""

from __future__ import annotations

import ssl

from cassandra import (
    AuthenticationFailed,
    InvalidRequest,
    OperationTimedOut,
    Timeout,
    Unauthorized,
    Unavailable,
    UnresolvableContactPoints,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown

from perdure.adapters.cassandra.settings import CassandraSettings
from perdure.adapters.tls import tls_trouble
from perdure.ports.errors import StoreUnavailable

__all__ = ["reason", "unavailable"]


def reason(error: BaseException) -> str:
    """Name and text in one line. The driver's texts hold addresses, keyspaces and user names, never passwords."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def unavailable(settings: CassandraSettings, error: BaseException) -> StoreUnavailable:
    """What went wrong, and what to do."""
    return StoreUnavailable(f"Cassandra at {settings.shown_hosts} {_why(error, settings)} ({reason(error)})")


def _why(error: BaseException, settings: CassandraSettings) -> str:
    if isinstance(error, NoHostAvailable):
        inner = list(error.errors.values()) if isinstance(error.errors, dict) else list(error.errors or ())
        if any(isinstance(each, AuthenticationFailed) for each in inner):
            return _refused(settings)
        if trouble := _tls(inner, settings):
            return trouble
        return "cannot be reached: check PERDURE_STORE, and that its nodes run"
    if isinstance(error, UnresolvableContactPoints):
        return "has names that stand for no address: check PERDURE_STORE, and the names' server"
    if isinstance(error, Unavailable):
        return f"has too few live replicas for {settings.consistency}: check its nodes and the keyspace's replication"
    if isinstance(error, OperationTimedOut | Timeout):
        return f"did not answer within {settings.request_timeout_s:g} s or its own time-outs: check its load"
    if isinstance(error, Unauthorized):
        return (
            f"does not let user {settings.security.username!r} do this: give it the grants that `perdure bootstrap --print` "
            "lists for its role"
        )
    if isinstance(error, InvalidRequest):
        return f"does not know what keyspace {settings.keyspace} should hold: `perdure bootstrap --check` compares"
    return "failed the request"


def _refused(settings: CassandraSettings) -> str:
    if settings.security.username is None:
        return "asks for a user: set PERDURE_CASSANDRA_USERNAME and PERDURE_CASSANDRA_PASSWORD"
    return (
        f"refused user {settings.security.username!r}: check PERDURE_CASSANDRA_USERNAME and PERDURE_CASSANDRA_PASSWORD"
    )


def _tls(inner: list[BaseException], settings: CassandraSettings) -> str:
    """What the handshake failed of. A node that does not understand a word, or wants a certificate, just hangs up."""
    for error in inner:
        if found := tls_trouble(str(error), "CASSANDRA"):
            return found
    if not any(isinstance(each, ConnectionResetError | ssl.SSLEOFError | ConnectionShutdown) for each in inner):
        return ""
    if not settings.security.tls:
        return "ends the connection at once: perhaps this port speaks TLS (PERDURE_CASSANDRA_TLS=true)"
    return (
        "ends the connection at once: perhaps it asks for a client's certificate that it trusts "
        "(PERDURE_CASSANDRA_CERTIFICATE_FILE and _KEY_FILE)"
    )
