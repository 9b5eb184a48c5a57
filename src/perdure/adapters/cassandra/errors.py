"""The driver's errors in the port's words."""

from __future__ import annotations

from cassandra import AuthenticationFailed, InvalidRequest, OperationTimedOut, Timeout, Unauthorized, Unavailable
from cassandra.cluster import NoHostAvailable

from perdure.adapters.cassandra.settings import CassandraSettings
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
            return f"refused user {settings.security.username!r}: check its name and password"
        return "cannot be reached: check PERDURE_STORE, and that its nodes run"
    if isinstance(error, Unavailable):
        return f"has too few live replicas for {settings.consistency}: check its nodes and the keyspace's replication"
    if isinstance(error, OperationTimedOut | Timeout):
        return f"did not answer within {settings.request_timeout_s:g} s or its own time-outs: check its load"
    if isinstance(error, Unauthorized):
        return f"does not let user {settings.security.username!r} do this: grant SELECT and MODIFY on the keyspace"
    if isinstance(error, InvalidRequest):
        return f"does not know what keyspace {settings.keyspace} should hold: `perdure bootstrap --check` compares"
    return "failed the request"
