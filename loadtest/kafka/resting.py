"""What rests costs, too: services with nothing to do, and instances that wait."""

import asyncio
import json
import sys
import time
from collections import Counter

from loadtest.kafka.edges import http_clients, subscribed
from loadtest.kafka.load import run, run_many
from loadtest.kafka.report import Found
from loadtest.memory import start_waiters
from loadtest.processes import resident_bytes
from loadtest.workflows import chain

SETTLE_SECONDS = 3.0
IDLE_SECONDS = 20.0


async def idle(lab):
    """Services and brokers with nothing to do, gateway and a subscriber of one topic among them: CPU over 20 seconds, and memory."""
    deployment, found = await lab.deployment(), Found(of="CPU, ms a second")
    async with http_clients(deployment, 1) as ([client], _), subscribed(lab, deployment):
        await run(client, chain, 5)
        await asyncio.sleep(SETTLE_SECONDS)
        seconds = IDLE_SECONDS / min(lab.divide, 4)
        meter, begin = deployment.meter(), time.perf_counter()
        await asyncio.sleep(seconds)
        wall = time.perf_counter() - begin
        found.add("CPU, ms a second, all in", found.split("idle", meter.spent(), wall))
        for name, resident in _memory(lab, deployment).items():
            found.add(f"memory: {name}", resident / 1e6, "MB")
    return found


def _memory(lab, deployment):
    memory = Counter()
    for service in deployment.services.running:
        if service.process.returncode is None:
            memory[service.role] += resident_bytes(service.pid)
    for name, pid in lab.broker_processes:
        memory[name] += resident_bytes(pid)
    return memory


async def memory(lab):
    """Bytes of an instance that waits: kept in the cache, and evicted (embedded engine, a process of its own)."""
    found = Found()
    count = 50_000 // lab.divide
    for name, cached in (("in the cache", 2 * count), ("evicted", 100)):
        lab.say(f"{count:,} waiting instances, {name} ...")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest.memory", str(count), str(cached), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        if process.returncode:
            raise SystemExit("the memory bench failed")
        measured = json.loads(said)
        found.add(f"an idle instance {name}", measured["bytes_each"], "bytes")
        found.add(f"one woken, {name}", measured["oldest_woken_s"] * 1e3, "ms")
    return found


async def waiting(lab):
    """100,000 waiting instances on one orchestrator, on Kafka and Cassandra."""
    deployment, found, count = await lab.deployment(), Found(of="CPU, ms a start"), 100_000 // lab.divide
    await run_many(deployment.client, 200, 50)
    [orchestrator] = deployment.services.of("orchestrator")
    before, meter = resident_bytes(orchestrator.pid), deployment.meter()
    lab.say(f"starting {count:,} instances that wait ...")
    ids = await start_waiters(deployment.client, count)
    found.add("CPU a start, all in", found.split("starting", meter.spent(), count), "ms")
    after = resident_bytes(orchestrator.pid)
    found.add("orchestrator's memory, before", before / 1e6, "MB")
    found.add(f"with {count:,} waiting", after / 1e6, "MB")
    found.add("each", (after - before) / count, "bytes")
    times = []
    for instance_id in ids[:: max(1, count // 50)]:
        begin = time.perf_counter()
        await deployment.client.raise_workflow_event(instance_id, "go")
        await deployment.client.wait_for_workflow_completion(instance_id, timeout_in_seconds=60)
        times.append(time.perf_counter() - begin)
    found.add("one woken, median", sorted(times)[len(times) // 2] * 1e3, "ms")
    return found
