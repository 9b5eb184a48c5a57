"""Connections to the file, what makes it ours, and what SQLite's errors mean to a user."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from perdure.ports.errors import DatabaseDamaged, StoreUnavailable

__all__ = ["SCHEMA_VERSION", "check_identity", "connect", "connect_read_only", "explain", "is_corruption", "refusal"]

APPLICATION_ID = 0x50455244  # "PERD"
SCHEMA_VERSION = 1
_SQLITE_VERSION_MIN = (3, 35, 0)  # RETURNING; and many more parameters a statement than older ones take
_BUSY_TIMEOUT_MS = 5_000
_CACHE_KIB = 32 * 1024
_CHECKED_BYTES_MAX = 16 * 1024 * 1024  # a quick_check reads the whole file: above this it would delay the start


def connect(path: Path) -> sqlite3.Connection:
    """The owner's connection, in the thread that uses it. A new or empty file gets the schema."""
    if sqlite3.sqlite_version_info < _SQLITE_VERSION_MIN:
        raise StoreUnavailable(
            f"SQLite {sqlite3.sqlite_version} is too old for {path}: use a Python that brings 3.35 or later"
        )
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    try:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        check_identity(connection, path, may_be_empty=True)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        _check_pages(connection, path)
        if _user_version(connection) == 0:
            _create_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Reads beside the owner, or without one. Never creates the file."""
    uri = path.absolute().as_uri()
    beside_owner = path.with_name(path.name + "-wal").exists()
    # Without a write-ahead file nobody writes; read-only SQLite could not make the files that WAL wants.
    mode = "mode=ro" if beside_owner else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{uri}?{mode}", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    return connection


def check_identity(connection: sqlite3.Connection, path: Path, *, may_be_empty: bool) -> None:
    """Raises DatabaseDamaged unless the file is a Perdure database of a version known here."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables == 0 and may_be_empty:
        return
    if application_id != APPLICATION_ID:
        raise DatabaseDamaged(f"{path} is a database, but not Perdure's: give another path")
    version = _user_version(connection)
    if version != SCHEMA_VERSION:
        raise DatabaseDamaged(
            f"{path} has schema version {version}, this Perdure knows {SCHEMA_VERSION}: use the version that wrote it"
        )


def _user_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size <= _CHECKED_BYTES_MAX:
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise DatabaseDamaged(_damaged(path, str(finding)))


def _create_schema(connection: sqlite3.Connection) -> None:
    schema = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
    connection.executescript(
        f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; {schema} COMMIT;"
    )


def explain(error: sqlite3.Error, path: Path) -> str:
    """What happened and what to do, for a user."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return f"the disk is full: nothing was written to {path}. Free some space; the engine goes on by itself"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"another program holds a lock on {path} ({error}): end it; the engine goes on by itself"
    if code == sqlite3.SQLITE_READONLY:
        return f"{path} cannot be written ({error}): check its permissions"
    return f"{path}: {error}"


def is_corruption(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def refusal(error: sqlite3.Error, path: Path) -> DatabaseDamaged | StoreUnavailable:
    """What a failed read, or a failed opening, is told as."""
    return (DatabaseDamaged if is_corruption(error) else StoreUnavailable)(explain(error, path))


def _damaged(path: Path, finding: str) -> str:
    first = finding.splitlines()[-1] if finding else ""
    return f"{path} is damaged or no Perdure database ({first}): restore a copy, or move it away to begin anew"
