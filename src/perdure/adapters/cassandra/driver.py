"""An open session and its prepared statements. What blocks runs in a thread.

The law: a session that finds no node for RENEW_SECONDS is given up for a new one, by the hosts that were given. The driver
looks for lost nodes by itself, but not for ever and not everywhere: one that refused its user is never tried again, and nodes
that start refuse users; and names are looked up once, though they may stand for other addresses by now.
"""

from __future__ import annotations

import asyncio
import threading
import time
from importlib.resources import files
from typing import Any, Final

import structlog
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import ErrorMessage

from perdure.adapters.cassandra.connecting import connect
from perdure.adapters.cassandra.errors import reason, unavailable
from perdure.adapters.cassandra.requests import Requests
from perdure.adapters.cassandra.schema import check_schema
from perdure.adapters.cassandra.settings import CassandraSettings

__all__ = ["Driver", "open_driver", "queries"]

log = structlog.get_logger(__name__)

RENEW_SECONDS: Final = 10.0

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
        self._missing_since: float | None = None
        self._renewing = self._closed = False
        self._lock = threading.Lock()

    def requests(self) -> Requests:
        """For one event loop."""
        return Requests(self)

    def answered(self) -> None:
        """A node has answered."""
        self._missing_since = None

    def found_nobody(self) -> None:
        """No node could be asked."""
        now = time.monotonic()
        with self._lock:
            since = self._missing_since = self._missing_since or now
            if self._closed or self._renewing or now - since < RENEW_SECONDS:
                return
            self._renewing = True
        threading.Thread(target=self._renew, name="perdure-cassandra", daemon=True).start()

    def _renew(self) -> None:
        try:
            renewed = _opened(self.settings)
        except Exception as error:  # noqa: BLE001 - a name that stands for nothing now, too: it is tried again
            log.warning("no node of the store can be asked, nor one be found anew; later", error=reason(error))
            with self._lock:
                self._missing_since, self._renewing = None, False
            return
        with self._lock:
            given_up = renewed[0]
            if not self._closed:
                given_up = self._cluster
                self._cluster, self.session, self.statements = renewed
            self._missing_since, self._renewing = None, False
        log.warning("no node of the store could be asked: it was connected anew", hosts=self.settings.shown_hosts)
        given_up.shutdown()

    async def close(self) -> None:
        with self._lock:
            self._closed = True
        await asyncio.to_thread(self._cluster.shutdown)


async def open_driver(settings: CassandraSettings) -> Driver:
    """Raises StoreUnavailable, and PortError for a schema that is not this version's or a driver without libev."""
    cluster, session, statements = await asyncio.to_thread(_opened, settings)
    return Driver(settings, cluster, session, statements)


def queries(keyspace: str) -> dict[str, str]:
    """Of queries.cql, by name."""
    text = (files(__package__) / "queries.cql").read_text("utf-8")
    named = (block.partition("\n") for block in text.split("\n-- ")[1:])
    return {name: query.strip().rstrip(";").replace("{keyspace}", keyspace) for name, _, query in named}


def _opened(settings: CassandraSettings) -> tuple[Any, Any, dict[str, Any]]:
    """(cluster, session, statements)."""
    cluster, session = connect(settings)
    try:
        _check(session, settings)
        return cluster, session, _prepared(session, settings)
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
