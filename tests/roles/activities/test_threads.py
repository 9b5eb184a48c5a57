"""Plain activities on real threads, on a real loop: what happens is waited for, nothing sleeps."""

import asyncio
import threading

from perdure.adapters.system import SystemClock
from perdure.core.commands import CompleteActivity
from perdure.roles.activities import ThreadSlots
from tests.roles.activities.world import World, until


async def real(**given):
    w = World(**given)
    w.clock = SystemClock()
    return await w.open()


async def test_plain_activities_run_side_by_side_on_threads():
    w = await real()
    together = threading.Barrier(4, timeout=10)
    w.app.add_activity(lambda ctx: together.wait() and None, name="meet")
    worker = await w.start(slots=ThreadSlots(4))
    for n in range(8):
        await w.ask(n, "meet")
    for n in range(8):
        assert isinstance(await w.result(n), CompleteActivity)
    await worker.stop()


async def test_no_more_threads_than_slots_and_no_more_than_needed():
    w = await real()
    names = set()
    w.app.add_activity(lambda ctx: names.add(threading.current_thread().name), name="who")
    worker = await w.start(slots=ThreadSlots(3))
    await w.ask(0, "who")
    await w.result(0)
    assert len(names) == 1
    for n in range(1, 200):
        await w.ask(n, "who")
    await until(lambda: worker.stats.completed == 200)
    assert len(names) <= 3
    await worker.stop()


async def test_a_thread_past_its_time_out_keeps_its_slot_and_its_result_is_dropped():
    w = await real()
    gate = threading.Event()
    w.app.add_activity(lambda ctx: gate.wait(10), name="stuck")
    worker = await w.start(slots=ThreadSlots(4))
    await w.ask(0, "stuck", timeout_s=0.02)
    await until(lambda: worker.stats.overrun == 1)
    await w.ask(1)
    await w.result(1)
    await until(lambda: w.committed().offset == 2)
    gate.set()
    await until(lambda: worker.stats.overrun == 0 and worker.stats.in_flight == 0)
    assert [key for key, _ in await w.results()] == [1]
    await worker.stop()


async def test_a_worker_with_half_its_threads_stuck_drains_and_says_so():
    w = await real()
    gate = threading.Event()
    exhausted = asyncio.Event()
    w.app.add_activity(lambda ctx: gate.wait(10), name="stuck")
    worker = await w.start(slots=ThreadSlots(4), on_exhausted=exhausted.set)
    await w.ask(0, "stuck", timeout_s=0.02)
    await until(lambda: worker.stats.overrun == 1)
    assert not exhausted.is_set()
    await w.ask(1, "stuck", timeout_s=0.02)
    await asyncio.wait_for(exhausted.wait(), 10)
    await w.ask(2)
    other = await w.start()
    await w.result(2)
    assert w.committed().offset == 3
    gate.set()
    await other.stop()


async def test_a_time_out_runs_from_the_moment_a_slot_is_free():
    w = await real()
    gate = threading.Event()
    w.app.add_activity(lambda ctx: gate.wait(10), name="busy")
    worker = await w.start(slots=ThreadSlots(1))
    await w.ask(0, "busy")
    await until(lambda: worker.stats.in_flight == 1)
    await w.ask(1, timeout_s=30)
    w.gate.set()
    await w.ask(2, "wait")
    await w.result(2)  # read and written after the other: its claim would be in the log
    assert await w.leases() == []
    gate.set()
    assert isinstance(await w.result(1), CompleteActivity)
    await worker.stop()


async def test_draining_takes_back_what_no_thread_has_begun():
    w = await real()
    gate = threading.Event()

    def busy(ctx):
        w.runs[ctx.workflow_id] += 1
        gate.wait(10)

    w.app.add_activity(busy, name="busy")
    worker = await w.start(slots=ThreadSlots(1))
    for n in range(20):
        await w.ask(n, "busy")
    await until(lambda: w.runs)
    draining = asyncio.ensure_future(worker.drain(10))
    await until(lambda: worker.stats.in_flight == 1)
    gate.set()
    await draining
    assert len(w.runs) == 1 and w.committed().offset == 1


async def test_a_thread_that_ends_after_its_loop_harms_nobody():
    slots, gate = ThreadSlots(1), threading.Event()

    class Late:
        def run(self):
            gate.wait(10)

    def elsewhere():
        async def begin():
            slots.open(lambda jobs: None)
            slots.submit(Late())

        asyncio.run(begin())

    await asyncio.to_thread(elsewhere)
    (thread,) = slots._threads
    gate.set()
    slots.close()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()
