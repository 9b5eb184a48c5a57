"""Whatever a stranger writes to the topic `timers`, or leaves as a row, good timers fire and the role lives."""

from hypothesis import given
from hypothesis import strategies as st

from perdure.codec.avro import decode, encode
from perdure.core.effects import CancelTimer, SetTimer
from perdure.ports.log import Outgoing
from perdure.ports.store import StoredTimer
from tests.hostile.strangers import aimed, any_headers, any_key, any_value_bytes, few
from tests.hostile.waiting import until_there
from tests.roles.timers.virtual import EPOCH_US, run_virtually
from tests.roles.timers.world import SECOND, World, until

DAY = 86_400 * SECOND
TIMES = st.sampled_from((0, -1, EPOCH_US, EPOCH_US + DAY, (1 << 63) - 1, -(1 << 63))) | st.integers(
    -(1 << 63), (1 << 63) - 1
)


async def fired(world, *names):
    async def all_of_them():
        records = await world.log.fetch(world.topics.instances, 0, 0, 100_000)
        assert all(decode(record.value) for record in records)
        return set(names) <= {record.key for record in records}

    await until_there(all_of_them, 3 * 86_400.0)


@few
@given(st.data())
def test_any_records_among_good_ones_kill_nothing_and_hold_no_timer_up(data):
    async def day():
        world = await World().open()
        service = await world.start()
        now = world.now_us
        strange = []
        for _ in range(data.draw(st.integers(1, 12))):
            kind = data.draw(st.sampled_from((SetTimer, CancelTimer)))
            ours = aimed(kind, "0.0.1", fire_at_us=data.draw(TIMES))
            value = data.draw(any_value_bytes() | ours.map(encode))
            strange.append(Outgoing(world.topics.timers, 0, data.draw(any_key(b"i1")), value, data.draw(any_headers())))
        middle = len(strange) // 2
        good = [world.request(SetTimer, n, at) for n, at in ((1, now), (2, now + 5 * SECOND), (3, now + DAY))]
        await world.log.append([good[0], *strange[:middle], good[1], *strange[middle:], good[2]])
        await fired(world, b"i1", b"i2")
        await world.crash(service)
        again = await world.start()  # with what the first one has written to the store
        await world.set(4, now + 20 * SECOND)
        await fired(world, b"i1", b"i2", b"i3", b"i4")
        await again.stop()

    run_virtually(day())


@few
@given(st.lists(st.tuples(TIMES, st.text(max_size=9), st.text(max_size=9), any_value_bytes()), max_size=6))
def test_rows_that_are_none_of_ours_are_left_out(rows):
    async def day():
        world = await World().open()
        await world.set(1, world.now_us + DAY)
        first = await world.start()
        await until(lambda: world.store.rows)
        await first.stop()
        (slice_no,) = {number for _, number in world.store.rows}
        texts = [(at, key, name, value) for at, key, name, value in rows if key.isascii()]
        await world.store.put(0, slice_no, [StoredTimer(at, key, name, value, 1) for at, key, name, value in texts])
        second = await world.start()
        await fired(world, b"i1")
        await second.stop()

    run_virtually(day())
