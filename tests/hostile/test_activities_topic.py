"""Whatever a stranger writes to the topic `activities`, or keeps as a position's metadata, the worker lives and works."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.codec.avro import decode, encode
from perdure.core.commands import CompleteActivity
from perdure.core.effects import ActivityTask
from perdure.core.limits import TIME_US_MAX
from perdure.ports.log import Outgoing
from perdure.roles.activities import ActivitySettings
from perdure.roles.activities.watermark import decode_metadata
from tests.hostile.strangers import aimed, any_headers, any_key, any_value_bytes, few, many
from tests.hostile.waiting import until_there
from tests.roles.activities.world import World
from tests.roles.timers.virtual import run_virtually

SOON = ActivitySettings(unregistered_window_s=1.0, unregistered_pause_s=0.2)


async def done(world, *names):
    """The keys that have a result."""

    async def all_of_them():
        records = await world.log.fetch(world.topics.instances, 0, 0, 100_000)
        completed = {record.key for record in records if type(decode(record.value)) is CompleteActivity}
        return completed >= set(names)

    await until_there(all_of_them, 60.0)


@few
@given(st.data())
def test_any_records_among_good_ones_kill_nothing_and_hold_nobody_up(data):
    async def day():
        world = await World(settings=SOON).open()
        failures = []
        worker = await world.start(on_failure=failures.append)
        strange = []
        for _ in range(data.draw(st.integers(1, 12))):
            name = data.draw(st.sampled_from(("echo", "wait", "unknown", "", "e" * 400)))
            task = aimed(ActivityTask, f"0.0.{len(strange)}", name=name)
            value = data.draw(any_value_bytes() | task.map(encode))
            key, headers = data.draw(any_key(b"i1")), data.draw(any_headers())
            strange.append(Outgoing(world.topics.activities(), 0, key, value, headers))
        middle = len(strange) // 2
        await world.log.append([world.task(1), *strange[:middle], world.task(2), *strange[middle:], world.task(3)])
        world.gate.set()
        await done(world, b"i1", b"i2", b"i3")
        await world.crash(worker)  # what is left is another worker's: handed out again, some of it again and again
        again = await world.start(on_failure=failures.append)
        await world.ask(4)
        await done(world, b"i4")
        await again.stop()
        assert failures == []

    run_virtually(day())


def test_a_task_refused_first_in_the_future_does_not_go_round_for_ever():
    async def day():
        world = await World(settings=SOON).open()
        worker = await world.start()
        task = ActivityTask("0.0.1", 0, 1, 1, "unknown", "flow", refused_since_us=(1 << 63) - 1)
        await world.log.append([Outgoing(world.topics.activities(), 0, b"i1", encode(task))])
        failed = await world.result(1)
        assert failed.error_type == "ActivityNotRegistered"
        await worker.stop()

    run_virtually(day())


@pytest.mark.parametrize("timeout_us", [-1, TIME_US_MAX + 1, (1 << 63) - 1])
def test_a_task_with_a_time_out_that_no_calendar_has_is_a_dead_letter_and_the_next_one_runs(timeout_us):
    async def day():
        world = await World(settings=SOON).open()
        worker = await world.start()
        task = ActivityTask("0.0.1", 0, 1, 1, "echo", "flow", timeout_us=timeout_us)
        await world.log.append([Outgoing(world.topics.activities(), 0, b"i1", encode(task)), world.task(2)])
        await done(world, b"i2")
        (letter,) = await world.log.fetch(world.topics.dead_letters, 0, 0, 10)
        assert b"time-out" in dict(letter.headers)["perdure-reason"]
        await worker.stop()

    run_virtually(day())


@many
@given(st.text(max_size=60) | st.text("ABCDEFGHwxyz0129+/=", max_size=300).map("1".__add__), st.integers(-5, 1 << 62))
def test_metadata_is_read_or_refused_by_name(text, low):
    try:
        done, counts = decode_metadata(text, low)
    except ValueError as error:
        assert "offset metadata" in str(error)
    else:
        assert len(done) <= 8 * len(text)
        assert len(counts) <= len(text)
