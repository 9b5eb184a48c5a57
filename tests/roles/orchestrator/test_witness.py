"""The witness itself: it accepts what is right and sees each fault that is planted."""

import pytest

from perdure.codec.avro import decode, encode
from perdure.core.events import BatchCommitted

from .world import World, run_virtually


async def _a_day(world):
    await world.node()
    keys = [
        await world.start("chain", 2),
        await world.start("generations", 3, minted=True),
        await world.start("parent", 2),
    ]
    await world.ended(*keys)
    reply = await world.inspect(keys[0])
    assert reply.snapshot.status == "COMPLETED"
    await world.check()
    return keys


def test_an_ordinary_day_obeys_every_law():
    async def day():
        async with World(2) as world:
            keys = await _a_day(world)
            assert world.output(keys[0]) == [["done", 0], ["done", 1]]
            assert world.output(keys[1]) == 2
            assert world.output(keys[2]) == [[], [["done", 0]]]

    run_virtually(day())


def _records(world, topic, kind=None):
    for write in world.broker.writes:
        for record in write.records:
            if record.topic == topic and (kind is None or type(decode(record.value)) is kind):
                yield write, record


def _drop_event(world):
    write, record = _nth_event(world, 2)
    write.records.remove(record)


def _nth_event(world, seq):
    return next((w, r) for w, r in _records(world, world.topics.history) if r.key and decode(r.value).seq == seq)


def _repeat_event(world):
    write, record = _nth_event(world, 2)
    write.records.insert(write.records.index(record), record)


def _repeat_task(world):
    write, record = next(_records(world, world.topics.activities()))
    write.records.append(record)


def _lose_task(world):
    write, record = next(_records(world, world.topics.activities()))
    write.records.remove(record)


def _lose_marker(world):
    write, record = next(_records(world, world.topics.history, BatchCommitted))
    write.records.remove(record)


def _marker_back(world):
    *_, (_, record) = _records(world, world.topics.history, BatchCommitted)
    marker = decode(record.value)
    marker.next_offset = 1
    record.value = encode(marker)


def _reply_early(world):
    index = next(i for i, w in enumerate(world.broker.writes) if w.of(world.topics.replies))
    write = world.broker.writes.pop(index)
    world.broker.writes.insert(0, write)


def _wrong_home(world):
    _, record = _nth_event(world, 1)
    record.partition = 1 - record.partition


FAULTS = [_drop_event, _repeat_event, _repeat_task, _lose_task, _lose_marker, _marker_back, _reply_early, _wrong_home]


@pytest.mark.parametrize("plant", FAULTS, ids=lambda each: each.__name__.strip("_").replace("_", " "))
def test_a_planted_fault_is_seen(plant):
    async def day():
        async with World(2) as world:
            await _a_day(world)
            world.journal.check()
            plant(world)
            with pytest.raises(AssertionError):
                world.journal.check()

    run_virtually(day())


def test_a_store_that_differs_from_the_log_is_seen():
    async def day():
        async with World(1) as world:
            keys = await _a_day(world)
            held = world.store._instances[keys[0]]
            held.events[2] = b"other"
            with pytest.raises(AssertionError, match="events differ"):
                await world.journal.check_store(world.store)
            held.row.last_seq -= 1
            with pytest.raises(AssertionError, match="is not"):
                await world.journal.check_store(world.store)
            del world.store._instances[keys[0]]
            with pytest.raises(AssertionError, match="not stored"):
                await world.journal.check_store(world.store)

    run_virtually(day())


def test_a_store_position_ahead_of_what_is_stored_is_seen():
    async def day():
        async with World(1) as world:
            keys = await _a_day(world)
            _, end = await world.log.bounds(world.topics.history, 0)
            world.watch_store(world.store, 0, end, [])
            assert not world.broken
            del world.store._instances[keys[0]]
            world.watch_store(world.store, 0, end, [])
            assert world.broken

    run_virtually(day())
