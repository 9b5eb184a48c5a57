"""How long partitions are without an owner after one was killed, and how long one process needs to take over 64.

A partition serves again when an instance that waits there, which its new owner has never seen, takes an event and ends.
"""

import asyncio
import signal
import time

from loadtest.kafka.load import run, run_many
from loadtest.kafka.report import Found
from loadtest.kafka.services import ROLES
from loadtest.measure import quantile
from loadtest.memory import start_waiters
from loadtest.workflows import chain, waiter
from perdure.adapters.kafka.settings import KafkaSettings
from perdure.core.names import partition_of

SERVES_SECONDS_MAX = 120
POLL_SECONDS = 0.05
STORED_SECONDS = 2.0  # well over the write-behind's interval: the instances are then in the store, and cold elsewhere


async def one_waiter_each(client, partitions):
    """{partition: id of an instance that waits there}."""
    found, number = {}, 0
    while len(found) < partitions:
        instance_id, number = f"waits{time.time_ns()}-{number}", number + 1
        place = partition_of(instance_id, partitions)
        if place not in found:
            found[place] = instance_id
    await asyncio.gather(
        *(client.schedule_new_workflow(waiter, input="go", instance_id=each) for each in found.values())
    )
    return found


async def served(client, instance_id, begin):
    """Seconds since `begin` until the instance has taken its event and ended."""
    await client.raise_workflow_event(instance_id, "go", command_id=f"go-{instance_id}")
    await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=SERVES_SECONDS_MAX)
    return time.perf_counter() - begin


async def light_load(client, stop):
    """A few workflows a second, until `stop` is set."""
    running = set()
    while not stop.is_set():
        running.add(asyncio.ensure_future(run(client, chain, 5)))
        await asyncio.sleep(0.1)
        running = {each for each in running if not each.done()}
    await asyncio.gather(*running)


async def assigned(service, count, begin):
    """Seconds until the survivor says that it has all partitions."""
    while len((await service.metrics())["partitions"]) < count:  # noqa: ASYNC110 - another process tells it
        await asyncio.sleep(POLL_SECONDS)
    return time.perf_counter() - begin


async def recovery(lab):
    """kill -9 of one of two orchestrators under light load: until each of its partitions serves again, cold."""
    deployment, found = await lab.deployment(orchestrators=2, fresh=True), Found()
    client, partitions = deployment.client, deployment.partitions
    await run_many(client, 100, 20)
    waiters = await one_waiter_each(client, partitions)
    await asyncio.sleep(STORED_SECONDS)
    victim, survivor = deployment.services.of("orchestrator")
    orphans = (await victim.metrics())["partitions"]
    stop = asyncio.Event()
    load = asyncio.ensure_future(light_load(client, stop))
    await asyncio.sleep(1.0)
    lab.say(f"killing the owner of {len(orphans)} partitions ...")
    begin = time.perf_counter()
    await victim.end(signal.SIGKILL)
    owned = asyncio.ensure_future(assigned(survivor, partitions, begin))
    times = await asyncio.gather(*(served(client, waiters[each], begin) for each in orphans))
    kept = [waiters[each] for each in waiters if each not in orphans]
    took_over = await asyncio.wait_for(owned, SERVES_SECONDS_MAX)
    stop.set()
    await load
    await asyncio.gather(*(served(client, each, begin) for each in kept))
    session = KafkaSettings(("",)).session_timeout_ms / 1e3
    found.add("the survivor owns all", took_over, "s")
    found.add("first partition serves", min(times), "s")
    found.add("last partition serves", max(times), "s")
    found.add("of these, the session (session_timeout_ms)", session, "s")
    found.add("left for rebalance and takeover", max(times) - session, "s")
    return found


async def takeover(lab):
    """One process takes 64 partitions over, with waiting instances: after a drain, and after kill -9."""
    deployment, found = await lab.deployment(64, fresh=True), Found()
    client, services = deployment.client, deployment.services
    count = 10_000 // lab.divide
    lab.say(f"{count:,} waiting instances ...")
    await start_waiters(client, count)
    for name, number in (("drained", signal.SIGTERM), ("killed", signal.SIGKILL)):
        waiters = await one_waiter_each(client, 64)
        await asyncio.sleep(STORED_SECONDS)
        [orchestrator] = services.of("orchestrator")
        begin = time.perf_counter()
        await orchestrator.end(number)
        ended = time.perf_counter() - begin
        [successor] = await services.start(ROLES[:1])
        ready = time.perf_counter() - successor.begun
        times = await asyncio.gather(*(served(client, each, successor.begun) for each in waiters.values()))
        found.add(f"{name}: its end took", ended, "s")
        found.add(f"{name}: successor ready after its start", ready, "s")
        found.add(f"{name}: half of the partitions serve", quantile(times, 0.5), "s")
        found.add(f"{name}: all serve", max(times), "s")
    return found
