"""What it costs to purge for age, and to look at what is too young for it.

    python -m loadtest.retention --purges 5000 --rows 100000 [--cassandra 127.0.0.1:9042]

Purges: an embedded engine whose instances are all old enough, with no bound on its rate. Rows: a store with so many
ended instances that are too young, the worst of it, for they ran for long: each was created before the age, so that a
whole pass reads them all. Beside it a sweep between two whole passes, and one over as many that are young in years, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import perdure as wf
from perdure.adapters.memory import MemoryBroker, MemoryLog
from perdure.adapters.system import SystemClock
from perdure.assembly import sqlite_ports
from perdure.core.names import Topics
from perdure.core.rows import InstanceRow
from perdure.embedding import embedded_settings
from perdure.ports.store import HistoryStore, StoredTurn
from perdure.roles.orchestrator import retention
from perdure.roles.orchestrator.retention import Sweeper
from perdure.roles.orchestrator.settings import OrchestratorPorts, OrchestratorSettings, Stats

__all__ = ["purges", "sweeps"]

NAMESPACE = "retention"
AGE_S = 30 * 86_400
AT_ONCE = 500

app = wf.App()


@app.workflow
def order(ctx, value):
    for number in range(5):
        value = yield ctx.call_activity(add, input=[value, number])
    return value


@app.activity
def add(ctx, numbers):
    return sum(numbers)


def purges(count: int) -> dict:
    """Of an embedded engine: purges a second of wall clock, and CPU of each, from the first to the last."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "engine.db"
        with wf.embedded(app, path) as client:
            for begin in range(0, count, AT_ONCE):
                ids = [client.schedule_new_workflow(order, input=n) for n in range(begin, min(begin + AT_ONCE, count))]
                for each in ids:
                    client.wait_for_workflow_completion(each)
        settings = embedded_settings()
        settings.orchestrator = replace(settings.orchestrator, retain_per_second=1e9)
        engine = wf.EmbeddedEngine(app, path, settings=settings, retain="COMPLETED=1s")
        engine.start()
        try:
            stats = engine.engine.orchestrator.stats
            while not stats.retention_asked:
                time.sleep(0.001)
            began, cpu = time.perf_counter(), time.process_time()
            while stats.retention_purged < count:
                time.sleep(0.005)
            wall, used = time.perf_counter() - began, time.process_time() - cpu
        finally:
            engine.stop()
        return {"purges": count, "a_second": round(count / wall), "cpu_ms_each": round(1_000 * used / count, 3)}


async def sweeps(store: HistoryStore, count: int) -> dict:
    """Seconds of wall clock and of this process's CPU, without the pauses that a sweep makes between its pages."""
    clock = SystemClock()
    now_us, age_us = clock.now_us(), AGE_S * 1_000_000
    for begin in range(0, count, AT_ONCE):
        turns = [
            StoredTurn(_row(n, now_us - age_us - (n + 1) * 1_000_000, now_us)) for n in range(begin, begin + AT_ONCE)
        ]
        await store.append(0, begin, begin + 1, turns)
    found = {"rows": count}
    settings = OrchestratorSettings(retain={"COMPLETED": float(AGE_S)})
    ports = OrchestratorPorts(MemoryLog(MemoryBroker(clock)), store, clock, Topics(NAMESPACE))
    retention.LOOKED_AT_PER_SECOND = 1 << 40  # no pauses between pages: they cost time and nothing else
    sweeper = Sweeper(ports, 1, settings, Stats())
    found["whole_pass"] = await _timed(sweeper)
    found["between"] = await _timed(sweeper)
    older = OrchestratorSettings(retain={"COMPLETED": 20.0 * AGE_S})
    found["all_young"] = await _timed(Sweeper(ports, 1, older, Stats()))
    return found


def _row(number: int, created_us: int, ended_us: int) -> InstanceRow:
    return InstanceRow(
        f"i{number:09}", f"0.0.{number}", 0, 12, "order", "COMPLETED", created_us, ended_us, '"in"', '"out"'
    )


async def _timed(sweeper: Sweeper) -> dict:
    began, cpu = time.perf_counter(), time.process_time()
    await sweeper.sweep()
    return {"s": round(time.perf_counter() - began, 3), "cpu_s": round(time.process_time() - cpu, 3)}


async def _on_sqlite(count: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        ports = await sqlite_ports(Path(folder) / "engine.db", Topics(NAMESPACE))
        try:
            return await sweeps(ports.store, count)
        finally:
            await ports.close()


async def _on_cassandra(address: str, count: int) -> dict:
    from perdure.adapters.cassandra import (  # noqa: PLC0415 - only where a Cassandra is given
        CassandraHistoryStore,
        CassandraSettings,
        create_schema,
        open_driver,
    )

    host, _, port = address.rpartition(":")
    keyspace = f"retention_{os.getpid()}"
    settings = CassandraSettings(((host, int(port)),), keyspace, consistency="LOCAL_ONE", request_timeout_s=30.0)
    await create_schema(settings, {"": 1})
    driver = await open_driver(settings)
    try:
        return await sweeps(CassandraHistoryStore(driver, NAMESPACE), count)
    finally:
        await asyncio.to_thread(driver.session.execute, f"DROP KEYSPACE {keyspace}", timeout=60)
        await driver.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.retention", description=__doc__.splitlines()[0])
    parser.add_argument("--purges", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--cassandra", default="", help="host:port: the sweeps there, on a fifth of the rows")
    given = parser.parse_args()
    found = {"embedded": purges(given.purges), "sqlite": asyncio.run(_on_sqlite(given.rows))}
    if given.cassandra:
        found["cassandra"] = asyncio.run(_on_cassandra(given.cassandra, given.rows // 5))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
