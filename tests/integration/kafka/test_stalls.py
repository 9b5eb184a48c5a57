"""aiokafka's tasks die one by one, and it says nothing: the member notices, and goes on with a new consumer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError, KafkaTimeoutError, RequestTimedOutError

from perdure.adapters.kafka import KafkaSecurity, consumers
from perdure.adapters.kafka import membership as membership_module
from perdure.adapters.kafka.clients import bounded, mend
from perdure.adapters.kafka.membership import KafkaMember
from perdure.ports.errors import LogUnavailable, NotAssigned
from tests.conformance.clusters import TOPICS
from tests.conformance.facts import Listener, out, until, values, within
from tests.integration.kafka.clusters import KafkaCluster

PARTS = {
    "fetcher": lambda consumer: consumer._fetcher._fetch_task,
    "coordinator": lambda consumer: consumer._coordinator._coordination_task,
    "heartbeat": lambda consumer: consumer._coordinator._heartbeat_task,
    "metadata": lambda consumer: consumer._client._sync_task,
}


async def join(cluster: KafkaCluster, listener: Listener):
    membership = await cluster.log.join("g", [TOPICS.instances], listener)
    member: KafkaMember = membership.inner
    return membership, member


def throw_into(task: asyncio.Task[None]) -> None:
    """As an error of aiokafka's own would: at its next step the task raises what none of it expects."""
    waiter = task._fut_waiter
    assert waiter is not None
    if not waiter.done():
        waiter.set_exception(KeyError((1, "a connection that was replaced")))


@pytest.mark.parametrize("part", PARTS)
async def test_a_member_whose_client_lost_a_task_joins_again(cluster: KafkaCluster, part: str) -> None:
    listener = Listener()
    membership, member = await join(cluster, listener)
    await cluster.log.append([out("before")])
    assert values(await within(membership.reader(TOPICS.instances, 0).read(1))) == ["before"]
    task = PARTS[part](member._consumer._consumer)
    task.cancel() if part == "metadata" else throw_into(task)
    await until(lambda: [told for told, _ in listener.told] == ["assigned", "revoked", "assigned"], seconds=60)
    await cluster.log.append([out("after")])
    reader = membership.reader(TOPICS.instances, 0)
    seen: list[str] = []
    while "after" not in seen:
        seen += values(await within(reader.read(10)))
    await reader.commit(reader.position)
    await within(membership.leave())


async def test_a_member_that_could_not_be_told_its_partitions_joins_again(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()
    membership, member = await join(cluster, listener)

    async def no_answer(_places):
        raise KafkaTimeoutError

    monkeypatch.setattr(member._consumer, "starting_points", no_answer)
    member._consumer._consumer._coordinator.request_rejoin()
    await until(lambda: [told for told, _ in listener.told] == ["assigned", "revoked", "assigned"], seconds=60)
    await cluster.log.append([out("a")])
    assert values(await within(membership.reader(TOPICS.instances, 0).read(1))) == ["a"]


@pytest.fixture
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "POLL_MS", 200)
    monkeypatch.setattr(consumers, "POLL_SECONDS_MAX", 0.4)


@pytest.mark.parametrize("part", ["coordinator", "metadata"])
async def test_a_member_whose_client_lost_a_task_while_the_group_was_divided_anew_joins_again(
    cluster: KafkaCluster, part: str, short_polls: None
) -> None:
    listener = Listener()
    membership, member = await join(cluster, listener)
    subscription = member._consumer._consumer._subscription
    subscription.begin_reassignment()
    await until(lambda: bool(subscription._assignment_waiters))  # a poll waits for the next assignment
    PARTS[part](member._consumer._consumer).cancel()
    await until(lambda: [told for told, _ in listener.told] == ["assigned", "revoked", "assigned"], seconds=60)
    await cluster.log.append([out("after")])
    assert values(await within(membership.reader(TOPICS.instances, 0).read(1))) == ["after"]


async def test_records_that_came_while_the_group_was_divided_anew_are_read_once(
    cluster: KafkaCluster, short_polls: None
) -> None:
    listener = Listener()
    membership, member = await join(cluster, listener)
    reading = asyncio.ensure_future(membership.reader(TOPICS.instances, 0).read(10))
    member._consumer._consumer._subscription.begin_reassignment()
    await cluster.log.append([out("meanwhile")])
    await asyncio.sleep(1)  # several polls
    assert not reading.done()
    member._consumer._consumer._coordinator.request_rejoin()
    await until(lambda: [told for told, _ in listener.told] == ["assigned", "revoked", "assigned"], seconds=60)
    with pytest.raises(NotAssigned):
        await within(reading)
    again = membership.reader(TOPICS.instances, 0)
    assert values(await within(again.read(10), 60)) == ["meanwhile"]
    await cluster.log.append([out("after")])
    assert values(await within(again.read(10))) == ["after"]


async def test_the_position_passes_nothing_that_nobody_has_read(cluster: KafkaCluster) -> None:
    """At no step of the loop: whoever asks stores it, or deletes what lies before it."""
    membership, _ = await join(cluster, Listener())
    reader = membership.reader(TOPICS.instances, 0)
    positions: set[int] = set()

    async def watch() -> None:
        while True:
            positions.add(reader.position)
            await asyncio.sleep(0)

    for number in range(5):
        await cluster.log.append([out(f"first of {number}")])
        await within(reader.read(10), 60)
        read_to = reader.position
        positions.clear()
        watching = asyncio.ensure_future(watch())
        await cluster.log.append([out(f"{each} of {number}") for each in range(10)])
        await until(lambda: bool(reader.inner._records), seconds=60)
        watching.cancel()
        assert positions == {read_to}
        assert len(await within(reader.read(100), 60)) == 10


async def test_a_group_that_gives_no_partitions_cannot_be_joined(
    cluster: KafkaCluster, short_polls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(GroupCoordinator, "ensure_active_group", never)
    monkeypatch.setattr(membership_module, "JOIN_SECONDS_MAX", 0.5)
    cluster._clients[0]._connection.settings = replace(cluster.settings, answer_timeout_ms=1_000)
    with pytest.raises(LogUnavailable, match="could not be joined"):
        await within(cluster.log.join("g", [TOPICS.instances], Listener()), 60)


async def test_a_group_that_is_joined_while_all_brokers_go_is_given_up(
    cluster: KafkaCluster, short_polls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first consumer is dead before it has partitions, and no other one can be begun."""
    begin, begun = consumers.GroupConsumer.start, []

    async def start(consumer: consumers.GroupConsumer, *given: Any) -> None:
        begun.append(consumer)
        if len(begun) > 1:
            raise LogUnavailable("no broker answers")
        await begin(consumer, *given)
        consumer.fail("a test says so")

    monkeypatch.setattr(consumers.GroupConsumer, "start", start)
    monkeypatch.setattr(membership_module, "JOIN_SECONDS_MAX", 0.5)
    cluster._clients[0]._connection.settings = replace(cluster.settings, answer_timeout_ms=1_000)
    with pytest.raises(LogUnavailable, match="could not be joined"):
        await within(cluster.log.join("g", [TOPICS.instances], Listener()), 60)
    assert len(begun) > 1


@pytest.mark.parametrize("trouble", [FileNotFoundError("no certificate"), RuntimeError("no token")])
async def test_a_member_whose_new_consumer_cannot_be_made_at_first_tries_again(
    cluster: KafkaCluster, trouble: Exception
) -> None:
    troubles = [trouble, trouble]

    class BeingRenewed(KafkaSecurity):
        def options(self) -> dict[str, Any]:
            if troubles:
                raise troubles.pop()
            return KafkaSecurity.options(self)

    listener = Listener()
    membership, member = await join(cluster, listener)
    member._connection.settings = replace(member._connection.settings, security=BeingRenewed())
    throw_into(PARTS["fetcher"](member._consumer._consumer))
    await until(lambda: [told for told, _ in listener.told] == ["assigned", "revoked", "assigned"], seconds=60)
    assert not troubles
    await cluster.log.append([out("after")])
    assert values(await within(membership.reader(TOPICS.instances, 0).read(1))) == ["after"]


async def test_a_member_leaves_while_its_consumer_is_being_replaced(cluster: KafkaCluster) -> None:
    membership, member = await join(cluster, Listener())
    member._consumer.fail("a test says so")
    await until(
        lambda: not member._consumer.failure and member._consumer._consumer._coordinator is not None, seconds=60
    )
    await within(membership.leave())
    successor = Listener()
    await cluster.client().join("g", [TOPICS.instances], successor)
    assert successor.owned == (0, 1, 2)


async def test_a_request_that_times_out_on_a_replaced_connection_is_a_time_out() -> None:
    client = AIOKafkaClient()

    async def ready(*_args, **_options) -> bool:
        return True

    class Silent:
        def send(self, *_args, **_options):
            client._conns.clear()  # another request found the connection broken, and could not make a new one
            silence = asyncio.get_running_loop().create_future()
            silence.set_exception(TimeoutError())
            return silence

    client.ready = ready
    client._conns = {(1, 0): Silent()}
    with pytest.raises(KeyError):
        await client.send(1, object(), group=0)
    client._conns = {(1, 0): Silent()}
    mend(client)
    with pytest.raises(RequestTimedOutError):
        await client.send(1, object(), group=0)


async def test_a_coordinator_is_looked_up_again_while_no_broker_is_known() -> None:
    client = AIOKafkaClient()
    with pytest.raises(AssertionError):
        await client.coordinator_lookup(CoordinationType.GROUP, "g")
    mend(client)
    with pytest.raises(KafkaError) as caught:
        await client.coordinator_lookup(CoordinationType.GROUP, "g")
    assert caught.value.retriable


async def test_what_swallows_its_cancellation_is_left_behind() -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    assert not await within(bounded(stubborn(), 0.05))
    released.set()


async def test_bounded_work_ends_or_raises_as_it_does() -> None:
    async def fails() -> None:
        raise ValueError("its own")

    assert await bounded(asyncio.sleep(0), 10)
    with pytest.raises(ValueError, match="its own"):
        await bounded(fails(), 10)


async def test_members_that_have_left_or_could_not_join_are_forgotten(cluster: KafkaCluster) -> None:
    await join(cluster, Listener())
    log = cluster._clients[0]
    for _ in range(3):
        membership = await cluster.client().join("left", [TOPICS.instances], Listener())
        with pytest.raises(ValueError, match="all read the same"):
            await within(cluster.log.join("left", [TOPICS.history], Listener()), 30)
        await within(membership.leave())
        await within((await cluster.log.join("left", [TOPICS.instances], Listener())).leave())
    await until(lambda: sum(not each.ended for each in log._members) == 1)
    assert len(log._members) <= 2
