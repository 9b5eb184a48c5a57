"""History of a quiet partition that has expired to its end: the store's checkpoint is where the next owner goes on."""

from __future__ import annotations

import asyncio

from perdure.adapters.kafka import KafkaLog
from tests.integration.kafka.test_engine import PARTITIONS, PATIENCE_S, World, result, running, world

__all__ = ["world"]
REST_DEADLINE_S = 60


async def at_rest(log: KafkaLog, world: World, topic: str) -> None:
    """Of every partition the store knows the last marker, and nothing has happened since."""
    async with asyncio.timeout(REST_DEADLINE_S):
        for partition in range(PARTITIONS):
            while True:
                kept = await world.store.resting(partition)
                if kept is not None and kept.end == (await log.bounds(topic, partition))[1]:
                    break
                await asyncio.sleep(0.1)


async def test_a_quiet_partition_whose_tail_has_expired_goes_on_from_the_store(world: World) -> None:
    history = f"{world.namespace}.history"
    log = KafkaLog(world.settings)
    async with running(world) as client:
        waiting = [await client.schedule_new_workflow("approval") for _ in range(2 * PARTITIONS)]
        done = await client.schedule_new_workflow("chain", input=1)
        assert await result(client, done) == 6
        await at_rest(log, world, history)
    for partition in range(PARTITIONS):
        start, end = await log.bounds(history, partition)
        await log.delete_before(history, partition, end)
        assert await log.bounds(history, partition) == (end, end)
        assert start < end
    async with running(world) as client:
        for instance in waiting:
            await client.raise_workflow_event(instance, "approve", data=True)
        assert [await result(client, instance) for instance in waiting] == [True] * len(waiting)
        again = await asyncio.wait_for(client.schedule_new_workflow("chain", input=2), PATIENCE_S)
        assert await result(client, again) == 7
    await log.close()
