"""The world outside: a ledger in one small SQLite file, where the activities of the examples leave their effects.

An activity runs at least once: if the process is killed between its effect and the record of it, it runs again. So an
entry is made under the call's idempotency key, as one hands it to a payment service, and its effect happens once.
"""

import os
import sqlite3
import time
from contextlib import closing

import perdure as wf

SCHEMA = """
create table if not exists entries (
    key text primary key,  -- the idempotency key of the call
    entry text not null,
    calls integer not null default 1  -- more than one: the activity was run again
) without rowid
"""


def enter(ctx: wf.ActivityContext, entry: str, *, takes_s: float = 0) -> bool:
    """Write an entry; the answer takes its time. False: this very call had written the entry before."""
    with closing(_open()) as db, db:
        (calls,) = db.execute(
            "insert into entries (key, entry) values (?, ?) on conflict (key) do update set calls = calls + 1 "
            "returning calls",
            (ctx.idempotency_key, entry),
        ).fetchone()
    print(f"  {entry}" if calls == 1 else f"  {entry} (known already)", flush=True)
    time.sleep(takes_s)
    return bool(calls == 1)


def entries(instance_id: str) -> list[str]:
    """What the activities of one instance have entered."""
    with closing(_open()) as db:
        found = db.execute("select entry from entries where key like ? || '/%'", (instance_id,))
        return [entry for (entry,) in found]


def repeated() -> list[str]:
    """The entries whose activity was run more than once."""
    with closing(_open()) as db:
        return [entry for (entry,) in db.execute("select entry from entries where calls > 1")]


def _open() -> sqlite3.Connection:
    db = sqlite3.connect(os.environ.get("LEDGER", "ledger.db"), timeout=10)
    db.execute(SCHEMA)
    return db
