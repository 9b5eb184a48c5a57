"""Whatever happens in whatever order, no timer is lost; without crashes, none fires that was cancelled in time."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.adapters.memory import Fault
from tests.roles.timers.virtual import run_virtually
from tests.roles.timers.world import SECOND, World

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 9), st.sampled_from([0, 5, 30, 61, 200, 299, 301, 700, 2000])),
        st.tuples(st.just("lease"), st.integers(10, 13), st.sampled_from([30, 61, 400, 1000])),
        st.tuples(st.just("cancel"), st.integers(0, 13), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 2, 40, 100, 310, 1000]), st.just(0)),
        st.tuples(st.just("crash"), st.sampled_from([0, 5, 400, 1000]), st.just(0)),
        st.tuples(st.just("outage"), st.just(0), st.just(0)),
        st.tuples(st.just("recovery"), st.just(0), st.just(0)),
        st.tuples(st.just("fault"), st.sampled_from(list(Fault)), st.just(0)),
    ),
    max_size=25,
)


async def play(steps):
    w = await World().open()
    service = await w.start()
    expected, cancelled, crashed, n_of = {}, {}, False, {}
    generation = 0
    for what, one, two in steps:
        if what in ("set", "lease"):
            if what == "set":
                generation += 1  # identities of these kinds are never set twice to different times
                n = 100 * generation + one
                n_of[one] = n
            else:
                n = n_of.setdefault(one, one)
            due = w.now_us + two * SECOND
            if n in cancelled:
                continue
            expected[n] = due
            await w.set(n, due, "lease" if what == "lease" else "timer")
        elif what == "cancel" and n_of.get(one) in expected:
            n = n_of[one]
            if expected[n] > w.now_us + SECOND:
                cancelled[n] = expected.pop(n)
                await w.cancel(n, cancelled[n], "lease" if one >= 10 else "timer")
        elif what == "wait":
            await asyncio.sleep(one)
        elif what == "crash":
            crashed = True
            await w.crash(service)
            await asyncio.sleep(one)
            service = await w.start()
        elif what == "outage":
            w.store.available = False
        elif what == "recovery":
            w.store.available = True
        elif what == "fault":
            service.log.faults.append(one)
    w.store.available = True
    await asyncio.sleep(4000)
    fired = {(n, at) for n, at, _ in await w.fired()}
    assert set(expected.items()) <= fired, "a timer was lost"
    assert all(ms * 1000 + 1000 > at for _, at, ms in await w.fired()), "a timer fired early"
    if not crashed:
        assert not set(cancelled.items()) & fired, "a cancelled timer fired"
    assert await w.committed() == (await w.log.bounds("t.timers", 0))[1] or not (expected or cancelled)
    assert w.store.rows == {}, "a row was left behind"
    await service.stop()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_no_timer_is_lost_whatever_happens(steps):
    run_virtually(play(steps))
