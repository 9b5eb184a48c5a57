"""What the ways in cost: the gateway under clients that speak HTTP, the subscriber under messages of a topic."""

import asyncio
import contextlib
import os
import time

from loadtest.kafka.load import run_many
from loadtest.kafka.report import Found
from loadtest.processes import resident_bytes
from loadtest.workflows import app
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.client.client import AsyncWorkflowClient
from perdure.client.http_transport import HttpTransport

SUBSCRIPTION = """[subscriptions.bench]
topic = "{topic}"
workflow = "chain"
instance_id = "join('-', ['{topic}', value.id])"
input = "value.steps"
begin = "beginning"
"""
CLIENTS = 10  # httpx looks at all its connections for every request: one client of two hundred would cost more than the engine
TOPIC_PARTITIONS = 4
COMPLETION_SECONDS_MAX = 300
LOOK_SECONDS = 0.1
EVENTS, EVENTS_OF_ONE = "perdure_events_total", 2  # begun, ended


@contextlib.asynccontextmanager
async def http_clients(deployment, count):
    """(clients over HTTP, the process of their gateway), which ends with this."""
    service = await deployment.services.begin("gateway", PERDURE_GATEWAY_PORT="0")
    transports = []
    try:
        await service.ready()
        url = service.told["gateway"]
        transports += [HttpTransport(url, SystemEntropy(), SystemClock()) for _ in range(count)]
        yield [AsyncWorkflowClient(transport, app=app) for transport in transports], service
    finally:
        for transport in transports:
            await transport.close()
        await service.end()


@contextlib.asynccontextmanager
async def subscribed(lab, deployment):
    """(a topic without messages, the process that subscribes to it), which ends with this."""
    topic = f"{deployment.settings.namespace}-{os.urandom(3).hex()}"
    await deployment.create_topic(topic, TOPIC_PARTITIONS)
    file = lab.folder / f"{topic}.toml"
    file.write_text(SUBSCRIPTION.format(topic=topic))
    service = await deployment.services.begin("subscriber", PERDURE_SUBSCRIPTIONS=str(file))
    try:
        await service.ready()
        yield topic, service
    finally:
        await service.end()


async def gateway(lab):
    """Workflows of five activities whose starts and completions go through one gateway."""
    deployment, found, count = await lab.deployment(), Found(), 4_000 // lab.divide
    each = max(1, min(lab.options.outstanding, count) // CLIENTS)

    async def all_run(count):
        await asyncio.gather(*(run_many(client, count // CLIENTS, each) for client in clients))

    async with http_clients(deployment, CLIENTS) as (clients, service):
        lab.say("warming up ...")
        await all_run(count // 4)
        lab.say(f"{count:,} workflows of five steps over HTTP, {each * CLIENTS} at once ...")
        meter, begin = deployment.meter(), time.perf_counter()
        await all_run(count)
        wall, spent = time.perf_counter() - begin, meter.spent()
        found.add("workflows a second", count / wall, "/s")
        found.add("CPU a workflow, all in", found.split("over HTTP", spent, count), "ms")
        found.add("gateway's CPU a workflow", spent["gateway"] / count * 1e3, "ms")
        found.add("gateway's memory", resident_bytes(service.pid) / 1e6, "MB")
    return found


async def subscriber(lab):
    """Messages of a topic, each the start of a workflow without steps, through one subscriber."""
    deployment, found, count = await lab.deployment(), Found(of="CPU, ms a message"), 20_000 // lab.divide
    async with subscribed(lab, deployment) as (topic, service):
        lab.say("warming up ...")
        await _consumed(deployment, topic, range(count // 4))
        lab.say(f"{count:,} messages ...")
        meter, begin = deployment.meter(), time.perf_counter()
        await _consumed(deployment, topic, range(count, 2 * count))
        wall, spent = time.perf_counter() - begin, meter.spent()
        found.add("messages a second, until all have ended", count / wall, "/s")
        found.add("CPU a message, all in", found.split("messages", spent, count), "ms")
        found.add("subscriber's CPU a message", spent["subscriber"] / count * 1e3, "ms")
        found.add("subscriber's memory", resident_bytes(service.pid) / 1e6, "MB")
        for number in (count, 2 * count - 1):
            state = await deployment.client.get_workflow_state(f"{topic}-{number}")
            if state is None or state.runtime_status.name != "COMPLETED":
                raise SystemExit(f"{topic}-{number} has not completed: the figures would mean nothing")
    return found


async def _consumed(deployment, topic, numbers):
    """Sends a message for each number, and waits until the orchestrators have told that as many have begun and ended."""
    begun = (await deployment.services.totals("orchestrator")).get(EVENTS, 0)
    values = [b'{"id":"%d","steps":0}' % number for number in numbers]
    await deployment.send(topic, TOPIC_PARTITIONS, values)
    async with asyncio.timeout(COMPLETION_SECONDS_MAX):
        told = begun
        while told < begun + EVENTS_OF_ONE * len(values):
            await asyncio.sleep(LOOK_SECONDS)
            told = (await deployment.services.totals("orchestrator")).get(EVENTS, 0)
