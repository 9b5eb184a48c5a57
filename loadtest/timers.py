"""Timers that are pending: what a million costs the timer service, and how many rows fifty million are.

    python -m loadtest.timers --pending 1000000 [--cassandra 127.0.0.1:9042]

Near: all due within a minute, all in the heap, the worst case of memory. Far: due over a day, so nearly all of them are
rows. Both run in a process of their own, through the very steps of a shard: decode the record, enter it in the book,
hand out and acknowledge what the store is to take. With --cassandra, 100,000 far timers go to a keyspace of their own
and back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter

from perdure.codec.avro import decode, encode
from perdure.core.effects import SetTimer
from perdure.ports.store import StoredTimer
from perdure.roles.timers import TimerSettings
from perdure.roles.timers.book import TimerBook
from perdure.roles.timers.rows import row_of

__all__ = ["rows_per_slice", "timers_pending"]

SETTINGS = TimerSettings()
SLICE_US = SETTINGS.slice_s * 1_000_000
NOW_US = 1_700_000_000_000_000 // SLICE_US * SLICE_US
DAY_US = 86_400_000_000
FLUSH = 5_000  # far timers between two writes
ROWS_TO_CASSANDRA = 100_000


def timers_pending(count: int, cassandra: str = "") -> dict:
    """`near` and `far`: bytes and microseconds of CPU a timer; `rows`: the shape of 50 million; `cassandra`, if given."""
    found = {
        "near": _in_a_child("near", count),
        "far": _in_a_child("far", count),
        "rows": rows_per_slice(50_000_000, 64),
    }
    if cassandra:
        found["cassandra"] = asyncio.run(_to_cassandra(cassandra))
    return found


def rows_per_slice(pending: int, shards: int) -> dict:
    """Of timers due evenly over a day: slices of a shard, and rows of a slice at most, by the book's own division."""
    per_shard = -(-pending // shards)
    slices = Counter((NOW_US + DAY_US * number // per_shard) // SLICE_US for number in range(per_shard))
    return {"pending": pending, "shards": shards, "slices": len(slices), "rows": max(slices.values())}


def _in_a_child(kind: str, count: int) -> dict:
    """Of its own, so that memory is that of these timers."""
    command = [sys.executable, "-m", "loadtest.timers", "--pending", str(count), "--only", kind]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _pending(kind: str, count: int) -> dict:
    book = TimerBook(
        now_us=NOW_US, position=0, maybe_stored_below=0, near_us=int(SETTINGS.near_s * 1e6), slice_us=SLICE_US
    )
    book.recover(book.window)
    before, began, reading = _resident(), time.process_time(), 0.0
    for number in range(count):
        made = time.process_time()
        due_us = NOW_US + (SETTINGS.near_s * 999_000 if kind == "near" else 61_000_000 + DAY_US * number // count)
        record = encode(SetTimer(f"0.{number % 64}.{number}", 0, 3, 1, "timer", int(due_us)))
        key = b"%032x" % number
        reading += time.process_time() - made  # others write the records
        book.set(key, decode(record), target=number % 64, offset=number, value=record, now_us=NOW_US)
        if number % FLUSH == FLUSH - 1:
            _flush(book)
    _flush(book)
    seconds = time.process_time() - began - reading
    resident = _resident()
    found = {
        "pending": count, "in_memory": len(book.near), "bytes_each": round((resident - before) / count),
        "resident_mib": round(resident / 2**20), "set_us": round(seconds / count * 1e6, 1),
    }  # fmt: skip
    if kind == "near":
        began = time.process_time()
        while due := book.due(NOW_US + 60_000_000, 2_000):
            book.fired(due)
        found["take_out_us"] = round((time.process_time() - began) / count * 1e6, 1)
    return found


def _flush(book: TimerBook) -> None:
    """As `keeping` does it, with a store that takes everything."""
    changes = book.far.hand_out()
    for change in changes.values():
        if not isinstance(change, int):
            row_of(change, 0)
    book.written(changes)


def _resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _to_cassandra(address: str) -> dict:
    from perdure.adapters.cassandra import (  # noqa: PLC0415 - only where a Cassandra is given
        CassandraSettings,
        CassandraTimerStore,
        create_schema,
        open_driver,
    )

    host, _, port = address.rpartition(":")
    keyspace = f"timers_{os.getpid()}"
    settings = CassandraSettings(((host, int(port)),), keyspace, consistency="LOCAL_ONE", request_timeout_s=30.0)
    await create_schema(settings, {"": 1})
    driver = await open_driver(settings)
    try:
        return await _there_and_back(CassandraTimerStore(driver, "loadtest"))
    finally:
        await asyncio.to_thread(driver.session.execute, f"DROP KEYSPACE {keyspace}", timeout=60)
        await driver.close()


async def _there_and_back(store) -> dict:
    """Rows as full slices of one shard: put, loaded, dropped."""
    per_slice = rows_per_slice(50_000_000, 64)["rows"]
    rows = [
        StoredTimer(number, f"{number:032x}", f"0.7.{number}/0/3/1/timer", b"x" * 45, number)
        for number in range(ROWS_TO_CASSANDRA)
    ]
    slices = {
        number: rows[number * per_slice : (number + 1) * per_slice] for number in range(-(-len(rows) // per_slice))
    }
    found: dict = {"rows": len(rows), "slices": len(slices)}
    for name in ("put", "load", "drop"):
        began = time.process_time()
        for number, some in slices.items():
            if name == "put":
                await store.put(7, number, some)
            elif name == "load":
                assert len(await store.load(7, number)) == len(some)
            else:
                await store.drop_slice(7, number, len(rows))
        found[f"{name}_us"] = round((time.process_time() - began) / len(rows) * 1e6, 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--cassandra", default="", metavar="HOST:PORT")
    parser.add_argument("--only", choices=("near", "far"))
    given = parser.parse_args()
    found = _pending(given.only, given.pending) if given.only else timers_pending(given.pending, given.cassandra)
    print(json.dumps(found, indent=None if given.only else 2))


if __name__ == "__main__":
    main()
