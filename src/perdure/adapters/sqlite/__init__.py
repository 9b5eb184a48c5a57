"""The embedded default: log, history store and far timers in one SQLite file, owned by one process."""

from perdure.adapters.sqlite.database import Database, open_database
from perdure.adapters.sqlite.log import SqliteLog
from perdure.adapters.sqlite.store import SqliteHistoryStore
from perdure.adapters.sqlite.timers import SqliteTimerStore

__all__ = ["Database", "SqliteHistoryStore", "SqliteLog", "SqliteTimerStore", "open_database"]
