import asyncio

import pytest

from perdure.adapters.memory import Fault
from perdure.codec.avro import encode
from perdure.core.commands import BeginGeneration
from perdure.core.effects import CancelTimer, SetTimer
from perdure.ports.errors import StoreUnavailable, TopicMissing
from perdure.ports.log import Outgoing
from perdure.roles.timers import TimerSettings
from tests.roles.timers.virtual import run_virtually
from tests.roles.timers.world import SECOND, World, until


def in_world(test, **kwargs):
    """Run the test in a world of its own, then stop what it started."""

    def run():
        async def whole():
            world = await World(**kwargs).open()
            await test(world)
            for service in world.services:
                if not service.log.closed:
                    await service.stop()

        run_virtually(whole())

    run.__name__ = test.__name__
    return run


def world(**kwargs):
    return lambda test: in_world(test, **kwargs)


@world()
async def test_a_timer_fires_when_it_is_due_and_not_before(w):
    await w.start()
    due = w.now_us + 30 * SECOND
    await w.set(1, due)
    await asyncio.sleep(29.9)
    assert await w.fired() == []
    await asyncio.sleep(0.101)
    assert await w.fired() == [(1, due, due // 1000)]


@world()
async def test_a_timer_that_is_overdue_fires_at_once(w):
    await w.start()
    await w.set(1, w.now_us - 5 * SECOND)
    await until(w.fired, 0.1)


@world()
async def test_timers_due_together_leave_in_one_append(w):
    service = await w.start()
    due = w.now_us + 10 * SECOND
    for n in range(50):
        await w.set(n, due)
    await asyncio.sleep(11)
    assert [len(batch) for batch in service.log.appends] == [50]
    assert sorted(n for n, *_ in await w.fired()) == list(range(50))
    assert service.stats.fired == 50


@world(partitions=3)
async def test_the_command_goes_to_the_partition_that_the_run_names(w):
    await w.start()
    await w.log.append([Outgoing("t.timers", 0, b"i7", encode(SetTimer("1.2.7", 4, 5, 6, "retry", w.now_us)))])
    await asyncio.sleep(0.1)
    assert len(await w.log.fetch("t.instances", 2, 0, 10)) == 1


@world()
async def test_a_cancelled_timer_does_not_fire(w):
    await w.start()
    due = w.now_us + 10 * SECOND
    await w.set(1, due)
    await w.set(2, due)
    await w.cancel(1, due)
    await asyncio.sleep(20)
    assert [n for n, *_ in await w.fired()] == [2]


@world()
async def test_setting_a_timer_again_moves_it(w):
    await w.start()
    first, second = w.now_us + 10 * SECOND, w.now_us + 25 * SECOND
    await w.set(1, first, "lease")
    await asyncio.sleep(5)
    await w.set(1, second, "lease")
    await asyncio.sleep(30)
    assert await w.fired() == [(1, second, second // 1000)]


@world()
async def test_a_far_lease_that_is_moved_fires_once_at_the_later_time(w):
    await w.start()
    first, second = w.now_us + 2_000 * SECOND, w.now_us + 4_000 * SECOND
    await w.set(1, first, "lease")
    await asyncio.sleep(10)
    await w.set(1, second, "lease")
    await asyncio.sleep(5_000)
    assert await w.fired() == [(1, second, second // 1000)]


@world()
async def test_a_far_timer_has_a_row_fires_in_time_and_its_slice_is_dropped(w):
    service = await w.start()
    due = w.now_us + 3 * 24 * 3600 * SECOND
    await w.set(1, due)
    await asyncio.sleep(5)
    assert len(w.store.rows) == 1
    assert await w.committed() == 1
    assert service.stats.pending_near == 0
    await asyncio.sleep(3 * 24 * 3600)
    assert await w.fired() == [(1, due, due // 1000)]
    await asyncio.sleep(600)
    assert w.store.rows == {}
    assert w.store.calls[-1] == ("drop", due // (300 * SECOND), 0)


@world()
async def test_a_far_timer_that_is_cancelled_soon_costs_no_row(w):
    await w.start()
    await asyncio.sleep(1)
    due = w.now_us + 3600 * SECOND
    await w.set(1, due)
    await asyncio.sleep(0.2)
    await w.cancel(1, due)
    await asyncio.sleep(10)
    assert w.store.calls == []
    assert await w.committed() == 2


@world()
async def test_a_far_timer_that_is_cancelled_later_loses_its_row(w):
    await w.start()
    due = w.now_us + 3600 * SECOND
    await w.set(1, due)
    await asyncio.sleep(10)
    assert w.store.rows
    await w.cancel(1, due)
    await asyncio.sleep(10)
    assert w.store.rows == {}
    await asyncio.sleep(4000)
    assert await w.fired() == []


@world()
async def test_a_far_timer_that_is_cancelled_while_its_row_is_written_loses_it(w):
    await w.start()
    await asyncio.sleep(1)
    w.store.put_takes_s = 5
    due = w.now_us + 3600 * SECOND
    await w.set(1, due)
    await asyncio.sleep(3)
    assert w.store.rows
    await w.cancel(1, due)
    await asyncio.sleep(10)
    assert w.store.rows == {}


@world()
async def test_a_far_timer_that_is_cancelled_while_its_slice_is_loaded_does_not_fire(w):
    await w.start()
    due = w.now_us + 3600 * SECOND
    await w.set(1, due)
    await asyncio.sleep(3600 - 300 - 1)
    w.store.load_takes_s = 5
    await asyncio.sleep(2)  # the window has reached the slice
    await w.cancel(1, due)
    await asyncio.sleep(1300)
    assert await w.fired() == [] and w.store.rows == {}


@world()
async def test_a_row_whose_record_is_read_again_with_its_cancellation_goes(w):
    for far in (100, 3600):
        service = await w.start()
        await asyncio.sleep(1)
        due = w.now_us + far * SECOND
        await w.set(far, due)
        await asyncio.sleep(1.5)  # the row is written, the position is not yet stored
        assert w.store.rows
        await w.crash(service)
        await asyncio.sleep(50)
        await w.cancel(far, due)
        await w.start()
        await asyncio.sleep(5)
        assert w.store.rows == {}
        await w.services[-1].stop()
    await w.start()
    await asyncio.sleep(4000)
    assert await w.fired() == []


@world()
async def test_a_timer_that_is_cancelled_before_its_slice_could_be_loaded_does_not_fire(w):
    service = await w.start()
    due = w.now_us + 100 * SECOND
    await w.set(1, due)
    await asyncio.sleep(10)
    await w.crash(service)
    w.store.available = False
    await w.start()
    await w.cancel(1, due)
    await asyncio.sleep(20)
    fail_remove, w.store.remove = w.store.remove, None  # its row is still there when the slice is loaded
    w.store.available = True

    async def not_yet(*_):
        if w.services[-1]._shards[0]._book.recovered:
            await fail_remove(*_)
        else:
            w.store.remove = fail_remove
            raise StoreUnavailable("not yet")

    w.store.remove = not_yet
    await asyncio.sleep(400)
    assert await w.fired() == [] and w.store.rows == {}


@world()
async def test_a_timer_within_the_window_is_cancelled_from_heap_and_row(w):
    service = await w.start()
    due = w.now_us + 200 * SECOND
    await w.set(1, due)
    await asyncio.sleep(10)
    assert w.store.rows and service.stats.pending_near == 1
    await w.cancel(1, due)
    await asyncio.sleep(300)
    assert w.store.rows == {} and await w.fired() == []


@world()
async def test_the_position_trails_the_oldest_near_timer_until_it_has_fired(w):
    await w.start()
    await w.set(1, w.now_us + 40 * SECOND)
    await w.set(2, w.now_us + 5 * SECOND)
    await asyncio.sleep(20)
    assert await w.committed() in (-1, 0)
    await asyncio.sleep(25)
    assert await w.committed() == 2


@world()
async def test_a_near_timer_survives_a_crash(w):
    service = await w.start()
    due = w.now_us + 40 * SECOND
    await w.set(1, due)
    await asyncio.sleep(20)
    await w.crash(service)
    await w.start()
    await asyncio.sleep(30)
    assert await w.fired() == [(1, due, due // 1000)]


@world()
async def test_a_far_timer_survives_a_crash_before_and_after_its_row_is_written(w):
    for wait in (0.1, 10):
        service = await w.start()
        due = w.now_us + 3600 * SECOND
        await w.set(int(wait), due)
        await asyncio.sleep(wait)
        await w.crash(service)
    await w.start()
    await asyncio.sleep(4000)
    assert sorted(n for n, *_ in await w.fired()) == [0, 10]


@world()
async def test_a_timer_that_was_cancelled_while_nobody_served_does_not_fire_at_takeover(w):
    service = await w.start()
    due = w.now_us + 30 * SECOND
    await w.set(1, due)
    await w.set(2, due, "lease")
    await asyncio.sleep(1)
    await w.crash(service)
    for n in range(10, 1500):  # more than one read away
        await w.set(n, due - 20 * SECOND)
    await w.cancel(1, due)
    await w.set(2, due + 50 * SECOND, "lease")
    await asyncio.sleep(60)
    await w.start()
    await asyncio.sleep(60)
    fired = await w.fired()
    assert 1 not in {n for n, *_ in fired}
    assert [at for n, at, _ in fired if n == 2] == [due + 50 * SECOND]


@world()
async def test_timers_that_came_due_while_nobody_served_fire_at_takeover(w):
    service = await w.start()
    dues = {n: w.now_us + n * 1000 * SECOND for n in range(1, 6)}
    for n, due in dues.items():
        await w.set(n, due)
    await asyncio.sleep(10)
    await w.crash(service)
    await asyncio.sleep(10_000)
    await w.start()
    await asyncio.sleep(5)
    assert sorted((n, at) for n, at, _ in await w.fired()) == sorted(dues.items())
    assert w.store.rows == {}


@world()
async def test_failing_appends_delay_timers_and_lose_none(w):
    service = await w.start()
    due = w.now_us + 5 * SECOND
    for n in range(3):
        await w.set(n, due)
    service.log.faults = [Fault.FAILED, Fault.UNKNOWN_NOT_WRITTEN, Fault.FAILED]
    await asyncio.sleep(14)
    assert service.log.faults == []
    assert sorted(n for n, *_ in await w.fired()) == [0, 1, 2]
    assert await w.committed() == 3


@world()
async def test_near_timers_go_on_without_the_store_and_far_ones_hold_the_position(w):
    await w.start()
    await w.set(1, w.now_us + 3600 * SECOND)
    w.store.available = False
    await w.set(2, w.now_us + 20 * SECOND)
    await asyncio.sleep(30)
    assert [n for n, *_ in await w.fired()] == [2]
    assert await w.committed() in (-1, 0)
    w.store.available = True
    await asyncio.sleep(30)
    assert await w.committed() == 2
    assert w.store.rows


@world()
async def test_a_far_timer_fires_in_time_although_the_store_never_took_it(w):
    await w.start()
    await asyncio.sleep(1)
    w.store.available = False
    due = w.now_us + 1000 * SECOND
    await w.set(1, due)
    await asyncio.sleep(1010)
    assert await w.fired() == [(1, due, due // 1000)]


@world()
async def test_the_role_starts_without_the_store_and_finds_its_slices_later(w):
    service = await w.start()
    due = w.now_us + 1000 * SECOND
    await w.set(1, due)
    await asyncio.sleep(10)
    await w.crash(service)
    w.store.available = False
    await w.start()
    await w.set(2, w.now_us + 30 * SECOND)
    await asyncio.sleep(1200)
    assert [n for n, *_ in await w.fired()] == [2]
    w.store.available = True
    await asyncio.sleep(10)
    assert [n for n, *_ in await w.fired()] == [2, 1]


@world(partitions=4)
async def test_shards_move_between_services_and_every_timer_fires(w):
    first = await w.start()
    for n in range(40):
        await w.set(n, w.now_us + n * SECOND, partition=n % 4)
    await asyncio.sleep(10.5)
    await w.start()
    await asyncio.sleep(10)
    await first.stop()
    await asyncio.sleep(30)
    fired = [n for n, *_ in await w.fired()]
    assert set(fired) == set(range(40))
    assert len(fired) == 40  # nothing twice: both left their shards in order


@world()
async def test_one_that_was_thrown_out_drops_no_slice(w):
    service = await w.start()
    due = w.now_us + 200 * SECOND
    await w.set(1, due)
    await asyncio.sleep(10)
    w.broker.expel(await service._membership)
    await asyncio.sleep(1000)
    assert [n for n, *_ in await w.fired()] == [1]
    assert len(w.store.rows) == 1  # its successor will fire it again rather than miss it
    w.broker.revive(await service._membership)
    await asyncio.sleep(1000)
    assert w.store.rows == {}


@world()
async def test_what_cannot_be_read_goes_to_the_dead_letters_and_the_rest_goes_on(w):
    service = await w.start()
    await w.log.append(
        [
            Outgoing("t.timers", 0, b"i1", b"garbage", (("traceparent", b"x"),)),
            Outgoing("t.timers", 0, b"i1", encode(BeginGeneration("1.0.0", 1))),
            Outgoing("t.timers", 0, b"i1", encode(SetTimer("1.99.0", 0, 1, 1, "timer", 0))),
            Outgoing("t.timers", 0, b"\xff", encode(SetTimer("1.0.0", 0, 1, 1, "timer", 0))),
            Outgoing("t.timers", 0, b"i1", encode(SetTimer("1/.0.0", 0, 1, 1, "timer", 0))),
            Outgoing("t.timers", 0, b"i1", encode(CancelTimer("1.0.0", 0, 1, 1, "ti\0mer", 0))),
        ]
    )
    await w.set(5, w.now_us)
    await asyncio.sleep(2)
    letters = await w.log.fetch("t.dead-letters", 0, 0, 10)
    assert [letter.value for letter in letters][:1] == [b"garbage"]
    assert len(letters) == 6 and service.stats.dead_letters == 6
    headers = dict(letters[0].headers)
    assert headers["traceparent"] == b"x"
    assert headers["perdure-origin"] == b"t.timers/0/0"
    assert b"too short" in headers["perdure-reason"]
    assert [n for n, *_ in await w.fired()] == [5]
    assert await w.committed() == 7


@world()
async def test_a_clock_that_is_set_forward_fires_within_the_recheck(w):
    await w.start()
    await w.set(1, w.now_us + 50 * SECOND)
    await asyncio.sleep(1)
    w.clock.step_us = 3600 * SECOND
    await until(w.fired, 2.5)


@world()
async def test_a_clock_that_is_set_back_fires_no_timer_early(w):
    await w.start()
    due = w.now_us + 50 * SECOND
    await w.set(1, due)
    await asyncio.sleep(40)
    w.clock.step_us = -100 * SECOND
    await asyncio.sleep(20)
    assert await w.fired() == []
    await until(w.fired, 100)
    assert w.now_us - due < SECOND


@world()
async def test_consumed_requests_are_deleted_from_the_log(w):
    await w.start()
    for n in range(20):
        await w.set(n, w.now_us)
    await asyncio.sleep(30)
    assert await w.log.bounds("t.timers", 0) == (20, 20)


@world()
async def test_stopping_stores_the_position_durably(w):
    service = await w.start()
    await w.set(1, w.now_us)
    await until(w.fired)
    await service.stop()
    assert await w.committed() == 1


@world(settings=TimerSettings(unstored_max=10))
async def test_reading_pauses_while_the_store_is_far_behind(w):
    service = await w.start()
    await asyncio.sleep(1)
    w.store.available = False
    for n in range(3000):
        await w.set(n, w.now_us + 7200 * SECOND)
    await asyncio.sleep(10)
    assert service.stats.set < 3000
    w.store.available = True
    await asyncio.sleep(30)
    assert service.stats.set == 3000


@world()
async def test_an_idle_day_costs_few_turns_of_the_loop(w):
    await w.start()
    turns = 0
    loop = asyncio.get_running_loop()
    run_once = loop._run_once

    def counted():
        nonlocal turns
        turns += 1
        run_once()

    loop._run_once = counted
    await asyncio.sleep(24 * 3600)
    assert turns < 24 * 3600 / 10


async def test_a_service_that_could_not_start_can_be_stopped():
    w = World()
    with pytest.raises(TopicMissing):
        await w.start()
    await w.services[0].stop()
