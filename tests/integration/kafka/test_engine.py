"""The whole engine on Kafka: every role, one process or two; its stores in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest

import perdure as wf
from perdure.adapters.kafka import KafkaLog
from perdure.adapters.memory import MemoryHistoryStore, MemoryTimerStore
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import Engine, EngineSettings, Ports
from perdure.client.client import AsyncWorkflowClient
from tests.integration.kafka.clusters import delete_topics, settings_for

PARTITIONS = 4
PATIENCE_S = 20


def programs() -> wf.App:
    app = wf.App()

    @app.activity
    def add(ctx, number):
        return number + 1

    @app.activity
    async def square(ctx, number):
        return number * number

    @app.workflow
    def chain(ctx, number):
        for _ in range(5):
            number = yield ctx.call_activity(add, input=number)
        return number

    @app.workflow
    def fan_out(ctx, count):
        squares = yield wf.when_all([ctx.call_activity(square, input=number) for number in range(count)])
        return sum(squares)

    @app.workflow
    def sleeper(ctx, seconds):
        yield ctx.create_timer(timedelta(seconds=seconds))
        return "woken"

    @app.workflow
    def family(ctx, children):
        results = yield wf.when_all([ctx.call_child_workflow(chain, input=number) for number in range(children)])
        return results

    @app.workflow
    def approval(ctx, _):
        answer = yield ctx.wait_for_external_event("approve")
        return answer

    return app


class World:
    """Stores that engines share, as they share a Cassandra."""

    def __init__(self, address: str, namespace: str) -> None:
        self.settings = settings_for(address)
        self.namespace = namespace
        self.store = MemoryHistoryStore()
        self.timers = MemoryTimerStore()

    async def engine(self, app: wf.App) -> Engine:
        kafka = KafkaLog(self.settings)
        ports = Ports(kafka, self.store, self.timers, SystemClock(), SystemEntropy(), kafka.close)
        engine = Engine(app, ports, EngineSettings(namespace=self.namespace, partitions=PARTITIONS))
        await asyncio.wait_for(engine.start(), PATIENCE_S)
        return engine


@pytest.fixture
async def world(kafka_address: str, namespace: str) -> AsyncIterator[World]:
    yield World(kafka_address, namespace)
    await delete_topics(kafka_address, namespace)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[AsyncWorkflowClient]:
    engine = await world.engine(programs())
    try:
        yield AsyncWorkflowClient(engine.transport, app=engine.app)
    finally:
        await asyncio.wait_for(engine.stop(), PATIENCE_S)


async def result(client: AsyncWorkflowClient, instance_id: str) -> object:
    state = await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=PATIENCE_S)
    assert state is not None
    assert state.runtime_status is wf.WorkflowStatus.COMPLETED, state
    return json.loads(state.serialized_output)


CASES: list[tuple[str, object, object]] = [
    ("chain", 1, 6),
    ("fan_out", 50, sum(number * number for number in range(50))),
    ("sleeper", 1, "woken"),
    ("family", 8, [number + 5 for number in range(8)]),
]


@pytest.mark.parametrize(("workflow", "given", "expected"), CASES, ids=lambda case: str(case)[:12])
async def test_a_workflow_runs_on_kafka(world: World, workflow: str, given: object, expected: object) -> None:
    async with running(world) as client:
        assert await result(client, await client.schedule_new_workflow(workflow, input=given)) == expected


async def test_many_instances_and_an_event_for_one(world: World) -> None:
    async with running(world) as client:
        waiting = await client.schedule_new_workflow("approval")
        many = [await client.schedule_new_workflow("chain", input=number) for number in range(40)]
        assert [await result(client, instance) for instance in many] == [number + 5 for number in range(40)]
        await client.raise_workflow_event(waiting, "approve", data=True)
        assert await result(client, waiting) is True


async def test_an_engine_takes_up_what_another_left(world: World) -> None:
    async with running(world) as client:
        instance = await client.schedule_new_workflow("approval")
        await client.raise_workflow_event(instance, "another")
    async with running(world) as client:
        await client.raise_workflow_event(instance, "approve", data=7)
        assert await result(client, instance) == 7


async def test_two_engines_share_a_group_and_one_leaves(world: World) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(running(world))
        started = [await client.schedule_new_workflow("chain", input=number) for number in range(10)]
        async with running(world) as other:
            started += [await other.schedule_new_workflow("chain", input=number) for number in range(10, 20)]
            assert [await result(other, instance) for instance in started] == [number + 5 for number in range(20)]
        started = [await client.schedule_new_workflow("chain", input=number) for number in range(20)]
        assert [await result(client, instance) for instance in started] == [number + 5 for number in range(20)]
