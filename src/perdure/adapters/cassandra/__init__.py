"""History store and far timers on Cassandra 5: prepared statements, written by position, no lightweight transactions."""

from perdure.adapters.cassandra.driver import Driver, open_driver
from perdure.adapters.cassandra.limits import check_limits
from perdure.adapters.cassandra.schema import SCHEMA_VERSION, create_schema, keyspace_statement, schema_statements
from perdure.adapters.cassandra.settings import CassandraSecurity, CassandraSettings, parse_address
from perdure.adapters.cassandra.store import CassandraHistoryStore
from perdure.adapters.cassandra.timers import CassandraTimerStore

__all__ = [
    "SCHEMA_VERSION", "CassandraHistoryStore", "CassandraSecurity", "CassandraSettings", "CassandraTimerStore",
    "Driver", "check_limits", "create_schema", "keyspace_statement", "open_driver", "parse_address", "schema_statements",
]  # fmt: skip
