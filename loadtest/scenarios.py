"""The scenarios. Each takes the engine's asyncio client (in the engine's own loop) and returns rows for the table."""

import asyncio
import time

from loadtest.measure import cost, quantile
from loadtest.workflows import chain, chain_async, fan, sleeper


async def _run(client, workflow, value):
    instance_id = await client.schedule_new_workflow(workflow, input=value)
    state = await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=300)
    if state.runtime_status.name != "COMPLETED":
        raise SystemExit(f"{instance_id} is {state.runtime_status.name}: the figures would mean nothing")
    return state


async def _throughput(client, workflow, count, at_once):
    await asyncio.gather(*(_run(client, workflow, 5) for _ in range(50)))  # warm
    gate = asyncio.Semaphore(at_once)

    async def one():
        async with gate:
            await _run(client, workflow, 5)

    with cost() as spent:
        await asyncio.gather(*(one() for _ in range(count)))
    return [
        ("workflows a second", f"{count / spent.wall_s:,.0f}"),
        ("CPU a workflow", f"{spent.cpu_s / count * 1e3:.2f} ms"),
    ]


async def throughput(client, size):
    """Sequences of five activities, started as fast as possible, every activity dispatched to a thread."""
    return await _throughput(client, chain, 20_000 // size, 2_000)


async def throughput_async(client, size):
    """The same with `async def` activities, on the loop."""
    return await _throughput(client, chain_async, 20_000 // size, 2_000)


async def alone(client, size):
    """One instance of five steps at a time."""
    times = []
    with cost() as spent:
        for _ in range(400 // size):
            begin = time.perf_counter()
            await _run(client, chain, 5)
            times.append(time.perf_counter() - begin)
    return [
        ("p50", f"{quantile(times, 0.5) * 1e3:.1f} ms"),
        ("p99", f"{quantile(times, 0.99) * 1e3:.1f} ms"),
        ("CPU a workflow", f"{spent.cpu_s / len(times) * 1e3:.2f} ms"),
    ]


async def sequence(client, size):
    """A thousand activities one after the other in one instance; half as many, to see that it is linear."""
    rows = []
    for length in (500 // size, 1_000 // size):
        with cost() as spent:
            await _run(client, chain, length)
        rows.append((f"{length:,} steps", f"{spent.wall_s:.2f} s, CPU {spent.cpu_s:.2f} s"))
    return rows


async def fan_out(client, size):
    """A thousand activities at once in one instance."""
    width = 1_000 // size
    with cost() as spent:
        await _run(client, fan, width)
    return [(f"{width:,} activities", f"{spent.wall_s:.2f} s, CPU {spent.cpu_s:.2f} s")]


async def timers(client, size):
    """500 instances waiting at once for timers of one to three seconds: how late the workflow ends."""
    count = 500 // size
    late = []

    async def one(number):
        milliseconds = 1_000 + number * 2_000 // count
        instance_id = await client.schedule_new_workflow(sleeper, input=milliseconds)
        state = await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=60)
        took = (state.last_updated_at - state.created_at).total_seconds()
        late.append(took - milliseconds / 1e3)

    with cost() as spent:
        await asyncio.gather(*(one(number) for number in range(count)))
    return [
        ("p50 late", f"{quantile(late, 0.5) * 1e3:.1f} ms"),
        ("p99 late", f"{quantile(late, 0.99) * 1e3:.1f} ms"),
        ("CPU", f"{spent.cpu_s:.2f} s"),
    ]


ALL = {
    "throughput": throughput,
    "throughput-async": throughput_async,
    "alone": alone,
    "sequence": sequence,
    "fan-out": fan_out,
    "timers": timers,
}
