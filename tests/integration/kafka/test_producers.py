"""Producers that are none of ours start workflows by publishing to Kafka: in each framing, once however often they try."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

import perdure as wf
from perdure.adapters.kafka import KafkaLog
from perdure.adapters.memory import MemoryHistoryStore, MemoryTimerStore
from perdure.adapters.registry import HttpRegistry
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import Engine, EngineSettings, Ports
from perdure.client.client import AsyncWorkflowClient
from perdure.codec.avro import encode
from perdure.core.commands import RaiseEvent, StartWorkflow
from tests.codec.framing import JSON_HEADERS, as_json, framed, source_of
from tests.integration.kafka.clusters import delete_topics, settings_for

PARTITIONS = 4
PATIENCE_S = 30
SCHEMAS = {7: source_of(StartWorkflow("x")), 8: source_of(RaiseEvent("x"))}


class Registry(BaseHTTPRequestHandler):
    """What Confluent's answers to `GET /schemas/ids/{id}`."""

    def do_GET(self) -> None:
        number = self.path.rpartition("/")[2]
        found = SCHEMAS.get(int(number)) if self.path == f"/schemas/ids/{number}" else None
        body = {"error_code": 40403, "message": "Schema not found"} if found is None else {"schema": json.dumps(found)}
        content = json.dumps(body).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def registry_address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(PATIENCE_S)


class World:
    """An engine and a producer."""

    def __init__(self, client: AsyncWorkflowClient, producer: AIOKafkaProducer, namespace: str, address: str) -> None:
        self.client = client
        self.producer = producer
        self.topic = f"{namespace}.instances"
        self._letters = f"{namespace}.dead-letters"
        self._address = address

    async def publish(self, key: str, value: bytes, *headers: tuple[str, bytes]) -> None:
        """As any producer does: where the record goes is the default partitioner's affair."""
        await self.producer.send_and_wait(self.topic, value, key=key.encode(), headers=list(headers))

    async def result(self, instance_id: str) -> Any:
        state = await asyncio.wait_for(self._ended(instance_id), PATIENCE_S)
        assert state.runtime_status is wf.WorkflowStatus.COMPLETED, state
        return json.loads(state.serialized_output)

    async def _ended(self, instance_id: str) -> Any:
        while await self.client.get_workflow_state(instance_id) is None:  # the message may still be on its way
            await asyncio.sleep(0.02)
        return await self.client.wait_for_workflow_completion(instance_id, timeout_in_seconds=PATIENCE_S)

    async def dead_letters(self, count: int) -> list[tuple[bytes, bytes, dict[str, bytes]]]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._address, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(self._letters, number) for number in range(PARTITIONS)])
            found: list[tuple[bytes, bytes, dict[str, bytes]]] = []
            async with asyncio.timeout(PATIENCE_S):
                while len(found) < count:
                    record = await consumer.getone()
                    found.append((record.key, record.value, dict(record.headers)))
        finally:
            await consumer.stop()
        return found


def programs(runs: list[str]) -> wf.App:
    app = wf.App()

    @app.workflow
    def order(ctx, given):
        if not ctx.is_replaying:
            runs.append(ctx.instance_id)
        paid = yield ctx.wait_for_external_event("paid")
        return [given, paid]

    return app


@pytest.fixture
def runs() -> list[str]:
    return []


@pytest.fixture
async def world(kafka_address: str, namespace: str, registry_address: str, runs: list[str]) -> AsyncIterator[World]:
    log, registry = KafkaLog(settings_for(kafka_address)), HttpRegistry(registry_address)
    stores = (MemoryHistoryStore(), MemoryTimerStore())
    ports = Ports(log, *stores, SystemClock(), SystemEntropy(), log.close, registry=registry)
    engine = Engine(programs(runs), ports, EngineSettings(namespace=namespace, partitions=PARTITIONS))
    await asyncio.wait_for(engine.start(), PATIENCE_S)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_address)
    await producer.start()
    yield World(AsyncWorkflowClient(engine.transport, app=engine.app), producer, namespace, kafka_address)
    await producer.stop()
    await asyncio.wait_for(engine.stop(), PATIENCE_S)
    await registry.close()
    await delete_topics(kafka_address, namespace)


def confluent(command: Any) -> bytes:
    return framed({StartWorkflow: 7, RaiseEvent: 8}[type(command)], source_of(command), dataclasses.asdict(command))


async def test_each_framing_starts_a_workflow_and_raises_its_event(world: World, runs: list[str]) -> None:
    ways = {"json": (as_json, JSON_HEADERS), "avro": (encode, ()), "confluent": (confluent, ())}
    for name, (write, headers) in ways.items():
        for number in range(6):  # over all partitions
            await world.publish(f"{name}-{number}", write(StartWorkflow("order", f'{{"id": {number}}}')), *headers)
            await world.publish(f"{name}-{number}", write(RaiseEvent("paid", '"cash"')), *headers)
    for name in ways:
        for number in range(6):
            assert await world.result(f"{name}-{number}") == [{"id": number}, "cash"]
    assert len(runs) == 18


async def test_an_instance_may_be_told_in_all_framings_one_after_the_other(world: World) -> None:
    await world.publish("mixed", confluent(StartWorkflow("order", "1")))
    await world.publish("mixed", as_json(RaiseEvent("other", "0")), *JSON_HEADERS)
    await world.publish("mixed", encode(RaiseEvent("paid", "2")))
    assert await world.result("mixed") == [1, 2]


@pytest.mark.parametrize("how", ["json", "avro", "confluent"])
async def test_a_retry_under_the_identity_in_the_header_starts_one(world: World, runs: list[str], how: str) -> None:
    write, headers = {"json": (as_json, JSON_HEADERS), "avro": (encode, ()), "confluent": (confluent, ())}[how]
    identity = ("perdure-command-id", b"order-1")
    for _ in range(3):
        await world.publish("once", write(StartWorkflow("order", "1")), *headers, identity)
    await world.publish("once", encode(RaiseEvent("paid", "2")))
    assert await world.result("once") == [1, 2]
    await world.publish("once", write(StartWorkflow("order", "1")), *headers, identity)
    await world.publish("once", write(StartWorkflow("order", "9")), *headers, ("perdure-command-id", b"order-9"))
    ((key, _, told),) = await world.dead_letters(1)
    assert (key, runs) == (b"once", ["once"])
    assert told["perdure-reason"].startswith(b"IdInUse: ")
    assert told["perdure-command-id"] == b"order-9"
    assert await world.result("once") == [1, 2]


async def test_what_cannot_be_taken_is_a_dead_letter_as_it_was(world: World) -> None:
    given = [
        ("a", b'{"command": "StartWorkflow", "inptu": 1}', JSON_HEADERS, b'no field "inptu"'),
        ("b", b"\0\0\0\0\x63x", (("own", b"\xff"),), b"has no schema 99"),
        ("c", as_json(StartWorkflow("nobody")), JSON_HEADERS, b"UnknownWorkflow: no workflow named 'nobody'"),
    ]
    for key, value, headers, _ in given:
        await world.publish(key, value, *headers)
    letters = {key.decode(): (value, told) for key, value, told in await world.dead_letters(3)}
    for key, value, headers, reason in given:
        dead, told = letters[key]
        assert dead == value
        assert told.items() >= dict(headers).items()
        assert reason in told["perdure-reason"]
        assert told["perdure-origin"].startswith(f"{world.topic}/".encode())
