"""What work costs: throughput, one instance alone, timers, a fan-out, and CPU by partitions and orchestrators."""

import asyncio
import time

from loadtest.kafka.report import Found
from loadtest.measure import quantile
from loadtest.workflows import chain, fan, sleeper

RUN_SECONDS_MAX = 300
COUNTED = ("perdure_commits_total", "perdure_events_total", "perdure_turns_total")


async def run(client, workflow, value):
    instance_id = await client.schedule_new_workflow(workflow, input=value)
    state = await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=RUN_SECONDS_MAX)
    if state.runtime_status.name != "COMPLETED":
        raise SystemExit(f"{instance_id} is {state.runtime_status.name}: the figures would mean nothing")
    return state


async def run_many(client, count, outstanding):
    """Five-step workflows, never more than `outstanding` under way."""
    left = iter(range(count))

    async def one_after_the_other():
        for _ in left:
            await run(client, chain, 5)

    await asyncio.gather(*(one_after_the_other() for _ in range(min(outstanding, count))))


async def loaded(lab, deployment, found, count, label=""):
    """Warm up, then measure `count` workflows; figures are named with `label`."""
    outstanding = min(lab.options.outstanding, count)
    lab.say("warming up ...")
    await run_many(deployment.client, max(count // 4, outstanding), outstanding)
    lab.say(f"{count:,} workflows of five steps, {outstanding} at once ...")
    before, meter, begin = await deployment.services.totals("orchestrator"), deployment.meter(), time.perf_counter()
    await run_many(deployment.client, count, outstanding)
    wall, spent = time.perf_counter() - begin, meter.spent()
    after = await deployment.services.totals("orchestrator")
    commits, events, turns = (after[name] - before[name] for name in COUNTED)
    prefix = f"{label}: " if label else ""
    found.add(f"{prefix}workflows a second", count / wall, "/s")
    found.add(f"{prefix}CPU a workflow, all in", found.split(label or "five steps", spent, count), "ms")
    found.add(f"{prefix}commits a workflow", commits / count)
    found.add(f"{prefix}events a commit", events / max(commits, 1))
    found.add(f"{prefix}turns a commit", turns / max(commits, 1))
    return found


async def throughput(lab):
    """Workflows of five activities, closed loop, completion waited for; starts and answers through the log."""
    return await loaded(lab, await lab.deployment(), Found(), 8_000 // lab.divide)


async def alone(lab):
    """One instance of five steps at a time."""
    deployment, found, count = await lab.deployment(), Found(), 200 // lab.divide
    for _ in range(5):
        await run(deployment.client, chain, 5)
    times, meter = [], deployment.meter()
    for _ in range(count):
        begin = time.perf_counter()
        await run(deployment.client, chain, 5)
        times.append(time.perf_counter() - begin)
    found.add("p50", quantile(times, 0.5) * 1e3, "ms")
    found.add("p99", quantile(times, 0.99) * 1e3, "ms")
    found.add("CPU a workflow, all in", found.split("one alone", meter.spent(), count), "ms")
    return found


async def timers(lab):
    """500 instances waiting at once for timers of two to four seconds: how late each workflow is told."""
    deployment, found, count = await lab.deployment(), Found(), 500 // lab.divide
    late = []

    async def one(number):
        milliseconds = 2_000 + number * 2_000 // count
        state = await run(deployment.client, sleeper, milliseconds)
        late.append((state.last_updated_at - state.created_at).total_seconds() - milliseconds / 1e3)

    await asyncio.gather(*(run(deployment.client, sleeper, 10) for _ in range(20)))
    meter = deployment.meter()
    await asyncio.gather(*(one(number) for number in range(count)))
    found.add("p50 late", quantile(late, 0.5) * 1e3, "ms")
    found.add("p99 late", quantile(late, 0.99) * 1e3, "ms")
    found.add("CPU a workflow, all in", found.split("one timer", meter.spent(), count), "ms")
    return found


async def fan_out(lab):
    """A thousand activities at once in one instance; the best and the median of five."""
    deployment, found, width = await lab.deployment(), Found(of="CPU, ms a fan-out"), 1_000 // lab.divide
    await run(deployment.client, fan, width)
    times, meter, rounds = [], deployment.meter(), 5
    for _ in range(rounds):
        begin = time.perf_counter()
        await run(deployment.client, fan, width)
        times.append(time.perf_counter() - begin)
    found.add(f"{width:,} activities, best", min(times), "s")
    found.add(f"{width:,} activities, median", quantile(times, 0.5), "s")
    found.add("CPU, all in", found.split(f"{width:,} activities", meter.spent(), rounds), "ms")
    return found


async def scaling(lab):
    """CPU a workflow at 2, 16 and 64 partitions, and with 1, 2 and 4 orchestrators at 16."""
    found = Found()
    for partitions, orchestrators in ((2, 1), (16, 1), (64, 1), (16, 2), (16, 4)):
        deployment = await lab.deployment(partitions, orchestrators, fresh=True)
        await loaded(
            lab, deployment, found, 4_000 // lab.divide, f"{partitions} partitions, {orchestrators} orchestrators"
        )
    return found
