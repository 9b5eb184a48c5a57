"""What only a real broker does: open transactions, lost answers, control records, sizes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.transaction import EndTxnRequest

from perdure.adapters.kafka import KafkaLog
from perdure.adapters.kafka.writer import KafkaWriter
from perdure.core.limits import RECORD_BYTES_MAX
from perdure.ports.errors import CommitUnknown, Fenced, PortError
from tests.conformance.clusters import TOPICS
from tests.conformance.facts import Listener, everything, out, until, values, within
from tests.integration.kafka.clusters import KafkaCluster, settings_for
from tests.integration.kafka.renaming import RenamedLog


class Gate:
    """Stands before a writer's "commit this transaction": asked for, not yet sent."""

    def __init__(self, writer: KafkaWriter) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self._send = writer._watch._send
        writer._watch._send = self._pass

    async def _pass(self, node_id, request, **options):
        if isinstance(request, EndTxnRequest):
            self.reached.set()
            await self.open.wait()
        return await self._send(node_id, request, **options)


class LosingAnswers(Gate):
    """The broker carries out the commit, and its answer is lost; the client's next attempts wait at the gate."""

    lost = False

    async def _pass(self, node_id, request, **options):
        if isinstance(request, EndTxnRequest) and not self.lost:
            self.lost = True
            await self._send(node_id, request, **options)
            raise KafkaConnectionError("the answer was lost")
        return await super()._pass(node_id, request, **options)


async def open_writer(cluster: KafkaCluster, *, patience_ms: int = 10_000):
    """A writer, and what lies below it."""
    log = KafkaLog(replace(cluster.settings, answer_timeout_ms=patience_ms))
    cluster._clients.append(log)
    writer = await RenamedLog(log, cluster.names).open_writer("w")
    return writer, writer.inner


async def test_a_second_writer_aborts_what_the_first_has_open(cluster: KafkaCluster) -> None:
    first, inner = await open_writer(cluster)
    gate = Gate(inner)
    commit = asyncio.ensure_future(first.commit([out("zombie"), out("zombie", 1, TOPICS.history)]))
    await within(gate.reached.wait())
    await cluster.log.append([out("behind the open transaction")])
    assert await everything(cluster.log) == []
    second = await cluster.log.open_writer("w")
    assert values(await everything(cluster.log)) == ["behind the open transaction"]
    gate.open.set()
    with pytest.raises(Fenced):
        await within(commit)
    await second.commit([out("owner")])
    assert values(await everything(cluster.log)) == ["behind the open transaction", "owner"]
    assert await everything(cluster.log, 1, TOPICS.history) == []


async def test_a_commit_that_was_never_carried_out_is_unknown_and_then_settled(cluster: KafkaCluster) -> None:
    writer, inner = await open_writer(cluster, patience_ms=1_000)
    Gate(inner)
    with pytest.raises(CommitUnknown):
        await within(writer.commit([out("lost")]))
    with pytest.raises(Fenced, match="open a new one"):
        await writer.commit([out("again")])
    successor = await within(cluster.log.open_writer("w"))
    assert await everything(cluster.log) == []
    await successor.commit([out("again")])
    assert values(await everything(cluster.log)) == ["again"]


async def test_a_commit_whose_answer_was_lost_is_unknown_and_there(cluster: KafkaCluster) -> None:
    writer, inner = await open_writer(cluster, patience_ms=1_000)
    LosingAnswers(inner)
    with pytest.raises(CommitUnknown):
        await within(writer.commit([out("there")]))
    await within(cluster.log.open_writer("w"))
    assert values(await everything(cluster.log)) == ["there"]


async def test_fenced_after_a_lost_answer_is_not_called_unwritten(cluster: KafkaCluster) -> None:
    writer, inner = await open_writer(cluster)
    gate = LosingAnswers(inner)
    commit = asyncio.ensure_future(writer.commit([out("there")]))
    await within(gate.reached.wait())
    await within(cluster.log.open_writer("w"))
    gate.open.set()
    with pytest.raises(CommitUnknown):
        await within(commit)
    assert values(await everything(cluster.log)) == ["there"]


async def test_a_lost_answer_alone_does_no_harm(cluster: KafkaCluster) -> None:
    writer, inner = await open_writer(cluster)
    LosingAnswers(inner).open.set()
    await within(writer.commit([out("once")]))
    assert values(await everything(cluster.log)) == ["once"]


async def test_control_records_hold_nobody_up(cluster: KafkaCluster) -> None:
    reader = (await cluster.log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    for number in range(5):
        writer, inner = await open_writer(cluster)
        gate = Gate(inner)
        aborted = asyncio.ensure_future(writer.commit([out("aborted")]))
        await within(gate.reached.wait())
        await (await cluster.log.open_writer("w")).commit([out(f"{number}")])
        gate.open.set()
        with pytest.raises(Fenced):
            await within(aborted)
    seen: list[str] = []
    while len(seen) < 5:
        seen += values(await within(reader.read(2)))
    assert seen == ["0", "1", "2", "3", "4"]
    read = asyncio.ensure_future(reader.read(1))
    _, end = await cluster.log.bounds(TOPICS.instances, 0)
    await until(lambda: reader.position == end)
    read.cancel()
    assert await cluster.log.fetch(TOPICS.instances, 0, end - 1, 10) == []
    assert values(await everything(cluster.log)) == seen


async def test_records_of_the_largest_size_pass_every_way(cluster: KafkaCluster) -> None:
    reader = (await cluster.log.join("g", [TOPICS.instances], Listener())).reader(TOPICS.instances, 0)
    large = b"x" * (RECORD_BYTES_MAX - len(b"key"))
    await cluster.log.append([out(large), out("after")])
    await (await cluster.log.open_writer("w")).commit([out(large), out("and"), out(large)])
    lengths: list[int] = []
    while len(lengths) < 5:
        lengths += [len(record.value) for record in await within(reader.read(10))]
    assert lengths == [len(large), 5, len(large), 3, len(large)]
    assert [len(record.value) for record in await everything(cluster.log)] == lengths


async def test_many_partitions_keep_their_orders_under_load(cluster: KafkaCluster) -> None:
    membership = await cluster.log.join("g", [TOPICS.instances, TOPICS.history], Listener())
    writer = await cluster.log.open_writer("w")
    places = [(topic, number) for topic in (TOPICS.instances, TOPICS.history) for number in range(3)]

    async def follow(topic: str, partition: int) -> list[str]:
        reader, seen = membership.reader(topic, partition), []
        while len(seen) < 200:
            seen += values(await reader.read(7))
        return seen

    following = [asyncio.ensure_future(follow(*place)) for place in places]
    await asyncio.gather(
        *(cluster.log.append([out(f"{number}", p, t) for t, p in places if t == TOPICS.instances]) for number in range(200)),
        *(writer.commit([out(f"{n + k}", p, t) for k in range(20) for t, p in places if t == TOPICS.history]) for n in range(0, 200, 20)),
    )  # fmt: skip
    for seen in await within(asyncio.gather(*following)):
        assert seen == [f"{number}" for number in range(200)]


async def test_servers_that_do_not_answer_are_named() -> None:
    log = KafkaLog(settings_for("127.0.0.1:1"))
    with pytest.raises(PortError, match=r"127\.0\.0\.1:1 .*PERDURE_LOG"):
        await log.connect()
    await log.close()
