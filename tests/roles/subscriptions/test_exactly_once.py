"""Each message once into the log, commands and dead letters alike, whatever dies, hangs or moves."""

import asyncio

import pytest

from perdure.adapters.memory.faults import Fault
from perdure.codec.encoder import Encoder
from perdure.ports.log import Committed, Consumed
from perdure.roles.subscriptions import feed, mapped
from perdure.roles.subscriptions.feed import group_of, writer_of
from perdure.roles.subscriptions.register import read_register, remove
from tests.roles.subscriptions.messages import subscribed
from tests.roles.subscriptions.world import SOURCE, TOPICS, is_dead, until

STEPS = 40


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(feed, "SUBSCRIPTION_MESSAGES_MAX", 3)


async def test_every_message_becomes_one_command_or_one_dead_letter(world):
    await world.add()
    await world.up()
    await world.send(50)
    await world.all_written()
    assert {name for name, _ in await world.commands()} == {f"order-{n}" for n in range(50) if n % 5 != 4}
    (letter, *_) = await world.letters()
    assert letter["perdure-subscription"] == "orders"
    assert letter["perdure-reason"].startswith("value is no JSON")


@pytest.mark.parametrize("dies_at", range(1, STEPS))
async def test_a_process_that_dies_at_any_step_leaves_nothing_out_and_nothing_twice(world, dies_at):
    await world.add()
    await world.send(20)
    log, service = world.process(dies_at=dies_at)
    await service.start()
    await until(lambda: is_dead(log, service))
    await world.up()
    await world.all_written()


@pytest.mark.parametrize("dies_at", range(5, 25))
async def test_one_that_dies_between_two_transactions_of_what_it_read_at_once_loses_nothing(
    world, dies_at, monkeypatch
):
    monkeypatch.setattr(feed, "SUBSCRIPTION_MESSAGES_MAX", 500)
    monkeypatch.setattr(feed, "SUBSCRIPTION_COMMIT_BYTES_MAX", 1_000)
    await world.add()
    await world.send(40, note="x" * 200)
    log, service = world.process(dies_at=dies_at)
    await service.start()
    await until(lambda: is_dead(log, service))
    await world.up()
    await world.all_written()


async def test_what_a_predecessor_commits_at_the_last_moment_is_not_written_again(world):
    """After its successor has looked at the position, before it has opened the writer."""
    await world.add()
    since = (await read_register(world.log, TOPICS)).declared["orders"].since
    await world.send(12)

    async def commit_at_the_last_moment(transactional_id):
        partition = int(transactional_id.rpartition(".")[2])
        records = await world.log.fetch(SOURCE, partition, 0, 2)
        commands = [mapped(record, subscribed()).outgoing(TOPICS.instances, 3, Encoder()) for record in records]
        consumed = Consumed(group_of(TOPICS, "orders"), SOURCE, partition, Committed(2, since))
        await (await world.log.open_writer(transactional_id)).commit(commands, consumed=consumed)

    log, service = world.process()
    log.before_open = commit_at_the_last_moment
    await service.start()
    await world.all_written()


async def test_one_that_is_added_again_leaves_out_what_a_subscriber_that_has_not_noticed_writes(world):
    service = await _unnoticing(world)
    await world.send(20)
    await world.all_written()
    await _noticed(world, service)
    await world.send(20)
    await world.all_written()


async def test_one_that_has_not_noticed_goes_on_after_what_its_successor_wrote(world):
    """A partition that moves there and back, between a subscriber that knows of the new one and one that does not."""
    service = await _unnoticing(world)
    knowing = await world.up()
    await until(lambda: len(knowing.subscribers["orders"].feeds) == 1)
    await world.send(20)
    await world.all_written()
    await knowing.stop()
    await until(lambda: len(service.subscribers["orders"].feeds) == 2)
    await world.send(20)
    await world.all_written()


async def _unnoticing(world):
    """A subscriber at work, which does not look while its subscription is removed and added again."""
    await world.add()
    service = await world.up()
    await world.send(10)
    await world.all_written()
    await service._stop_looking()
    before = service.subscribers["orders"].declared
    await remove(world.log, TOPICS, "orders")
    await world.add()
    assert not (await read_register(world.log, TOPICS)).declared["orders"].same_place(before)
    return service


async def _noticed(world, service):
    await service._follow(await read_register(world.log, TOPICS))
    await until(lambda: len(service.subscribers["orders"].feeds) == 2)


async def test_processes_that_die_again_and_again_lose_nothing_as_long_as_one_comes_a_step_further(world):
    await world.add()
    await world.send(60)
    for dies_at in range(3, 30, 2):
        log, service = world.process(dies_at=dies_at)
        await service.start()
        await until(lambda log=log, service=service: is_dead(log, service))
    await world.up()
    await world.all_written()


@pytest.mark.parametrize("fault", Fault)
async def test_a_commit_whose_outcome_is_not_known_is_settled_and_not_repeated(world, fault):
    await world.add()
    for _ in range(6):
        world.broker.fail_next("commit", fault)
    await world.send(20)
    service = await world.up()
    await world.all_written()
    assert service.stats.commits_failed == 6
    assert service.trouble == ""


async def test_a_zombie_that_goes_on_beside_its_successor_writes_nothing_twice(world):
    await world.add()
    zombie = await world.up()
    await world.send(10)
    await world.all_written()
    member = zombie.subscribers["orders"]._membership.result().inner
    world.broker.expel(member)
    successor = await world.up()
    await until(lambda: len(successor.subscribers["orders"].feeds) == 2)
    assert len(zombie.subscribers["orders"].feeds) == 2, "it does not know"
    for _ in range(10):
        await world.send(6)
        await asyncio.sleep(0)
    await world.all_written()
    world.broker.revive(member)
    await world.send(10)
    await world.all_written()
    await until(lambda: len(zombie.subscribers["orders"].feeds) == 1)


async def test_a_writer_that_is_fenced_again_and_again_goes_on_from_what_was_written(world):
    await world.add()
    await world.up()
    for _ in range(10):
        await world.send(7)
        for partition in range(2):
            world.broker.fence(writer_of(TOPICS, "orders", partition))
        await asyncio.sleep(0.001)
    await world.all_written()


async def test_members_that_come_and_go_share_the_partitions_and_write_each_message_once(world):
    await world.add()
    first = await world.up()
    for _ in range(3):
        await world.send(11)
        second = await world.up()
        await world.send(11)
        await until(lambda: len(first.subscribers["orders"].feeds) == 1)
        await world.send(11)
        await second.stop()
        await until(lambda: len(first.subscribers["orders"].feeds) == 2)
    await world.all_written()
    assert first.trouble == ""


async def test_what_when_passes_over_is_passed_for_good(world):
    await world.add(subscribed(when="value.id == '3'"))
    service = await world.up()
    await world.send(4)
    await until(lambda: service.stats.passed_over["orders"] == 3)
    assert [name for name, _ in await world.commands()] == ["order-3"]
    await service.stop()
    again = await world.up()
    await world.send(4)
    await until(lambda: again.stats.dead_letters == 1)
    await until(lambda: again.stats.passed_over["orders"] == 3)
    assert [name for name, _ in await world.commands()] == ["order-3"]


async def test_a_transaction_ends_where_its_bytes_do_and_the_rest_follows(world, monkeypatch):
    monkeypatch.setattr(feed, "SUBSCRIPTION_MESSAGES_MAX", 500)
    monkeypatch.setattr(feed, "SUBSCRIPTION_COMMIT_BYTES_MAX", 1_000)
    await world.add()
    await world.send(40, note="x" * 200)
    service = await world.up()
    await world.all_written()
    assert service.stats.commits > 8
