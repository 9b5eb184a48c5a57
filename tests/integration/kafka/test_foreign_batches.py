"""Batches as producers of other libraries pack them, on a real Kafka: each codec, and header names that are no text."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer, codec
from confluent_kafka import Producer

from perdure.adapters.kafka import KafkaLog
from perdure.core.names import partition_of
from perdure.ports.log import Outgoing
from tests.codec.framing import JSON_HEADERS
from tests.integration.kafka.batches import batch_of
from tests.integration.kafka.clusters import settings_for
from tests.integration.kafka.test_producers import PARTITIONS, World, registry_address, runs, world

__all__ = ["registry_address", "runs", "world"]  # fixtures
pytestmark = pytest.mark.brokers
PATIENCE_S = 30
START = json.dumps({"command": "StartWorkflow", "name": "order", "input": 1})
LONG_START = json.dumps({"command": "StartWorkflow", "name": "order", "input": "x" * 5_000})  # is worth packing
PAID = json.dumps({"command": "RaiseEvent", "name": "paid", "data": "cash"})


def produce(world: World, key: str, *values: str, codec: str = "none") -> None:
    options = {"bootstrap.servers": world._address, "partitioner": "murmur2_random", "linger.ms": 50}
    producer = Producer(options | {"compression.type": codec})
    for value in values:
        producer.produce(world.topic, value, key, headers=list(JSON_HEADERS))
    assert producer.flush(PATIENCE_S) == 0


async def send(address: str, topic: str, partition: int, raw: bytes) -> None:
    """A batch as it stands."""
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch.append(key=b"", value=b"", timestamp=None)
        batch.close()
        batch._buffer = raw
        await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_commands_in_a_batch_of_any_codec_are_read(world: World, codec: str) -> None:
    await asyncio.to_thread(produce, world, "packed", LONG_START, PAID, codec=codec)
    assert await world.result("packed") == ["x" * 5_000, "cash"]


async def test_a_header_name_that_is_no_text_holds_nobody_up_and_its_record_is_a_dead_letter(world: World) -> None:
    raw = batch_of([(b"i", b"garbage", [(b"\xff\xfeq", b"\xff1")])])
    await send(world._address, world.topic, partition_of("i", PARTITIONS), raw)
    await asyncio.to_thread(produce, world, "i", START, PAID)
    assert await world.result("i") == [1, "cash"]
    ((key, value, headers),) = await world.dead_letters(1)
    assert (key, value) == (b"i", b"garbage")
    assert headers["\ufffd\ufffdq"] == b"\xff1"


async def test_a_batch_that_cannot_be_unpacked_holds_up_its_own_partition_only_and_as_long_as_it_cannot(
    world: World, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [name for name in (f"b{n}" for n in range(8)) if partition_of(name, 4) != partition_of("a", 4)]
    with monkeypatch.context() as without:
        without.setattr(codec, "has_lz4", lambda: False)
        await asyncio.to_thread(produce, world, "a", LONG_START, PAID, codec="lz4")
        for name in others:
            await asyncio.to_thread(produce, world, name, START, PAID)
        for name in others:
            assert await world.result(name) == [1, "cash"]
        assert set(runs) == set(others)
    assert await world.result("a") == ["x" * 5_000, "cash"]


async def test_whoever_fetches_reads_header_names_that_are_no_text(world: World, namespace: str) -> None:
    raw = batch_of([(b"a", b"1", []), (b"b", b"2", [(b"\xff", b"x")]), (b"c", b"3", [])])
    log, letters = KafkaLog(settings_for(world._address)), f"{namespace}.dead-letters"
    try:
        await send(world._address, letters, 0, raw)
        await log.append([Outgoing(letters, 0, b"d", b"4")])
        found = await log.fetch(letters, 0, 0, 10)
        while len(found) < 4:
            found += await log.fetch(letters, 0, found[-1].offset + 1, 10)
        assert [(each.key, each.value) for each in found] == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")]
        assert found[1].headers == (("\ufffd", b"x"),)
        assert (await log.fetch(letters, 0, 1, 1))[0].key == b"b"
    finally:
        await log.close()
