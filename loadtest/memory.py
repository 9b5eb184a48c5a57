"""What waiting instances cost in memory: `python -m loadtest.memory COUNT CACHED`, on the embedded engine.

Prints JSON: resident bytes of a fresh engine, and with COUNT instances that wait for an event while at most CACHED of
them are kept in memory. A process of its own, so that nothing else is in the figures.
"""

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import structlog

from loadtest.processes import resident_bytes
from loadtest.workflows import app, waiter
from perdure.assembly import Engine, sqlite_ports
from perdure.client.client import AsyncWorkflowClient
from perdure.core.names import Topics
from perdure.embedding import embedded_settings

AT_ONCE = 500


async def start_waiters(client, count):
    """Instances that wait for an event for ever. Returns their ids."""
    left, ids = iter(range(count)), []

    async def one_after_the_other():
        for _ in left:
            ids.append(await client.schedule_new_workflow(waiter, input="go"))  # noqa: PERF401 - many add to one list

    await asyncio.gather(*(one_after_the_other() for _ in range(min(AT_ONCE, count))))
    return ids


async def measure(count, cached, folder):
    settings = embedded_settings()
    settings.orchestrator = replace(settings.orchestrator, cache_instances_max=cached, cache_bytes_max=1 << 40)
    ports = await sqlite_ports(Path(folder) / "memory.db", Topics(settings.namespace))
    engine = Engine(app, ports, settings)
    await engine.start()
    try:
        client = AsyncWorkflowClient(engine.transport, app=app)
        warm = await start_waiters(client, AT_ONCE)
        gc.collect()
        before = resident_bytes(os.getpid())
        ids = await start_waiters(client, count)
        await asyncio.sleep(1.0)  # the store is written behind: what it holds of the last ones goes to disk
        gc.collect()
        after = resident_bytes(os.getpid())
        begin = time.perf_counter()
        await client.raise_workflow_event(ids[0], "go")
        await client.wait_for_workflow_completion(ids[0], timeout_in_seconds=60)
        woken = time.perf_counter() - begin
    finally:
        await engine.stop()
    assert warm
    return {"before": before, "after": after, "bytes_each": (after - before) / count, "oldest_woken_s": woken}


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as here:
        print(json.dumps(asyncio.run(measure(int(sys.argv[1]), int(sys.argv[2]), here))))
