"""User code that does not come back: its instance is parked, the thread is replaced, everybody else goes on."""

import asyncio
import itertools
import random
import sys
import threading
import time
from collections import Counter

import pytest

from perdure.core.commands import RaiseEvent, ResumeWorkflow, TerminateWorkflow
from perdure.core.events import EventRaised
from perdure.core.limits import ABANDONED_THREADS_MAX
from perdure.roles.orchestrator import ThreadDecider
from perdure.roles.orchestrator.decider import LOOKS, TurnDeadline, _Thread

from .programs import app_of, chain, collector, waiting
from .world import World, until

RELEASE = threading.Event()  # lets go of what hangs, when the test is over
HARMLESS = threading.Event()  # set: the hostile ones behave
LIMIT_S = 0.2


@pytest.fixture(autouse=True)
def _release():
    RELEASE.clear()
    HARMLESS.clear()
    yield
    RELEASE.set()


def sleeps(ctx, _):
    yield ctx.wait_for_external_event("go")
    if not HARMLESS.is_set():
        time.sleep(30)
    return "fine"


def loops(ctx, _):
    yield ctx.wait_for_external_event("go")
    while not HARMLESS.is_set():
        pass
    return "fine"


def swallows(ctx, _):
    yield ctx.wait_for_external_event("go")
    while not HARMLESS.is_set() and not RELEASE.is_set():
        try:
            while not RELEASE.is_set():
                pass
        except BaseException:
            pass
    return "fine"


def recurses(ctx, _):
    def deeper(depth):
        return deeper(depth + 1) if not HARMLESS.is_set() else depth

    yield ctx.wait_for_external_event("go")
    deeper(0)
    return "fine"


def exits(ctx, _):
    yield ctx.wait_for_external_event("go")
    if not HARMLESS.is_set():
        raise SystemExit(3)
    return "fine"


def clings(ctx, seconds: float):
    """Its close hangs."""
    try:
        yield ctx.wait_for_external_event("go")
    finally:
        while not RELEASE.wait(0.05):
            pass


HOSTILE = [sleeps, loops, swallows, recurses, exits]
REASONS = {
    "sleeps": "turn deadline", "loops": "turn deadline", "swallows": "turn deadline",
    "recurses": "resources", "exits": "base exception",
}  # fmt: skip
APP = app_of(*HOSTILE, clings, chain, collector, waiting)


class Day:
    """A world in real time, its nodes on threads of their own."""

    def __init__(self, limit_s=LIMIT_S, app=APP):
        self.world = World(app=app)
        self.limit_s = limit_s
        self.exhausted = 0

    async def node(self, **settings):
        loop = asyncio.get_running_loop()
        decider = ThreadDecider(loop, turn_seconds_max=self.limit_s, on_exhausted=self._exhaust)
        return await self.world.node(decider=decider, **settings)

    def _exhaust(self):
        self.exhausted += 1


async def _stalled(world, key):
    await until(lambda: world.status(key) == "STALLED", 10)
    return world.instance(key).stalled


@pytest.mark.parametrize("function", HOSTILE, ids=lambda each: each.__name__)
def test_an_orchestrator_that_does_not_come_back_is_parked_and_nobody_else_waits(function):
    async def live():
        day = Day()
        async with day.world as world:
            node = await day.node()
            name = function.__name__
            key = await world.start(name)
            before, after = await world.start("collector", 1), await world.start("collector", 1)
            await world.decided()
            records = [world.out(before, RaiseEvent("e", "1")), world.out(key, RaiseEvent("go", "1"))]
            records += [world.out(key, RaiseEvent("late", "1")), world.out(after, RaiseEvent("e", "2"))]
            await world.log.append(records)  # one batch
            stalled = await _stalled(world, key)
            assert stalled.reason == REASONS[name]
            assert "test_decider.py" in stalled.detail
            await world.ended(before, after, deadline_s=10)
            assert node.decider.abandoned == (name in ("sleeps", "swallows"))
            await world.check()
            assert len([each for each in world.journal.history(key) if isinstance(each, EventRaised)]) == 2
            await node.stop()
            node = await day.node()  # a restart does not try it again
            await world.ended(await world.start("chain", 1), deadline_s=10)
            assert world.status(key) == "STALLED"
            assert node.decider.abandoned == 0
            HARMLESS.set()
            await world.send(key, ResumeWorkflow("again"))
            await world.ended(key, deadline_s=10)
            assert world.output(key) == "fine"
            await world.check()

    asyncio.run(live())


def test_the_loop_never_waits_for_user_code():
    async def live():
        day = Day()
        async with day.world as world:
            await day.node()
            key = await world.start("sleeps")
            await world.decided()
            await world.send(key, RaiseEvent("go", "1"))
            ticks = itertools.count()
            while world.status(key) != "STALLED":
                next(ticks)
                await asyncio.sleep(0.001)
            assert next(ticks) > 20

    asyncio.run(live())


@pytest.mark.parametrize("how", ["eviction", "termination", "the end of the owner"])
def test_a_close_that_hangs_holds_nobody_up(how):
    async def live():
        day = Day()
        async with day.world as world:
            node = await day.node(cache_instances_max=2)
            key = await world.start("clings", 1.0)
            await world.check()
            if how == "eviction":
                await world.ended(*[await world.start("chain", 2) for _ in range(4)], deadline_s=10)
                await world.send(key, RaiseEvent("x", "1"))
            elif how == "termination":
                await world.send(key, TerminateWorkflow('"over"'))
                await world.ended(key, deadline_s=10)
                assert world.status(key) == "TERMINATED"
            else:
                await asyncio.wait_for(node.stop(), 10)
                node = await day.node()
            await world.ended(await world.start("chain", 1), deadline_s=10)
            assert world.status(key) in ("RUNNING", "TERMINATED")
            RELEASE.set()
            await world.check()

    asyncio.run(live())


def test_too_many_threads_lost_is_said_once_more_are_lost_than_the_bound():
    async def live():
        day = Day(limit_s=0.05)
        async with day.world as world:
            node = await day.node()
            keys = [await world.start("sleeps") for _ in range(ABANDONED_THREADS_MAX + 1)]
            await world.decided()
            for key in keys[:-1]:
                await world.send(key, RaiseEvent("go", "1"))
            for key in keys[:-1]:
                await _stalled(world, key)
            assert day.exhausted == 0
            await world.send(keys[-1], RaiseEvent("go", "1"))
            await _stalled(world, keys[-1])
            assert day.exhausted == 1
            assert node.decider.abandoned == ABANDONED_THREADS_MAX + 1
            await world.ended(await world.start("chain", 1), deadline_s=10)  # what can go on does
            await world.check()

    asyncio.run(live())


def test_several_that_hang_in_one_batch_are_parked_one_after_the_other():
    async def live():
        day = Day(limit_s=0.1)
        async with day.world as world:
            node = await day.node()
            keys = [await world.start(name) for name in ("sleeps", "collector", "swallows", "loops", "collector")]
            for key in (keys[1], keys[4]):
                await world.send(key, RaiseEvent("e", "1"))
            await world.decided()
            await world.log.append([world.out(key, RaiseEvent("go", "1")) for key in keys])
            for key in (keys[0], keys[2], keys[3]):
                assert (await _stalled(world, key)).reason == "turn deadline"
            assert node.decider.abandoned == 2
            await world.check()

    asyncio.run(live())


def test_asyncio_in_an_orchestrator_fails_with_advice():
    async def naps(ctx, _):
        await asyncio.sleep(1)

    async def gathers(ctx, _):
        await asyncio.gather(ctx.call_activity("step", input=1), ctx.call_activity("step", input=2))

    async def live():
        day = Day(app=app_of(naps, gathers))
        async with day.world as world:
            await day.node()
            keys = [await world.start("naps"), await world.start("gathers")]
            await world.ended(*keys, deadline_s=10)
            for key in keys:
                instance = world.instance(key)
                assert (instance.ended, instance.error_type) == ("FAILED", "TypeError")
                assert "ctx.create_timer" in instance.error_message

    asyncio.run(live())


def test_user_code_is_not_told_of_time_in_which_the_whole_process_stood_still():
    async def live():
        loop = asyncio.get_running_loop()
        decider = ThreadDecider(loop, turn_seconds_max=LIMIT_S)
        inside, go_on = threading.Event(), threading.Event()
        ended = []

        class Turn:
            def run(self):
                ended.append(decider.runner(lambda _: inside.set() or go_on.wait(30), None))

        deciding = asyncio.ensure_future(decider.run([Turn()]))
        await asyncio.to_thread(inside.wait, 10)
        time.sleep(3 * LIMIT_S)  # the loop, and the watchdog with it
        for _ in range(3):
            await asyncio.sleep(0)  # it looks at once
        go_on.set()
        await asyncio.wait_for(deciding, 10)
        decider.stop()
        assert ended == [True]

    asyncio.run(live())


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="nobody can be asked for a thread's CPU here")
def test_code_in_c_that_lets_nobody_look_is_told_by_its_cpu():
    async def live():
        decider = ThreadDecider(asyncio.get_running_loop(), turn_seconds_max=LIMIT_S)
        calls = []

        def in_c(_):
            for number in range(60):
                calls.append(number)
                sum(range(20_000_000))  # longer than the limit, in one call that keeps the interpreter

        class Turn:
            def run(self):
                with pytest.raises(TurnDeadline):
                    decider.runner(in_c, None)

        await asyncio.wait_for(decider.run([Turn()]), 60)
        decider.stop()
        assert len(calls) < LOOKS

    asyncio.run(live())


# -- resumes that take about as long as they may -----------------------------------------------------------


def about(ctx, resumes: int):
    """Each resume takes about the limit."""
    rng = random.Random(f"{ctx.instance_id}")
    for number in range(resumes):
        yield ctx.call_activity("step", input=number)
        if not HARMLESS.is_set():
            end = time.perf_counter() + EDGE_S * rng.uniform(0.6, 1.5)
            while time.perf_counter() < end:
                [each * each for each in range(20)]
    return resumes


EDGE_S = 0.25


@pytest.mark.parametrize("hook", [None, sys.setprofile], ids=["", "profiled"])
def test_a_deadline_that_comes_just_too_late_strikes_nothing_of_the_engines(hook):
    async def live():
        day = Day(limit_s=EDGE_S, app=app_of(about, chain, collector))
        async with day.world as world:
            node = await day.node()
            keys = [await world.start("about", 12) for _ in range(6)]
            others = [await world.start("collector", 3) for _ in range(3)]
            for number in range(3):
                for key in others:
                    await world.send(key, RaiseEvent("e", str(number)))
                await asyncio.sleep(0.1)
            await until(lambda: all(world.status(key) != "RUNNING" for key in keys), 60)
            await world.ended(*others, deadline_s=60)
            stalls = [world.instance(key).stalled.reason for key in keys if world.status(key) == "STALLED"]
            assert set(stalls) <= {"turn deadline"}
            assert stalls  # else nothing was tried here
            HARMLESS.set()
            for attempt in range(20):  # a machine that stands still for a moment stalls one that does no harm
                for key in keys:
                    if world.status(key) in ("STALLED", "SUSPENDED"):
                        await world.send(key, ResumeWorkflow(f"again-{attempt}"))
                await world.decided()
                await until(lambda: all(world.status(key) not in ("RUNNING", "PENDING") for key in keys), 60)
                if all(world.instance(key).ended for key in keys):
                    break
            assert [world.output(key) for key in keys] == [12] * 6
            assert node.decider.abandoned == 0
            assert node.service.failure is None
            assert node.stats.takeovers == 1
            await world.check()

    def nothing(frame, event, argument):
        return None

    if hook is not None:
        threading.setprofile(nothing)
    try:
        asyncio.run(live())
    finally:
        threading.setprofile(None)


def test_the_deadline_is_exact_about_whose_code_it_strikes():
    """Straight on the decider: calls that end right at their deadline; none leaves it for the engine's own code."""

    async def live():
        decider = ThreadDecider(asyncio.get_running_loop(), turn_seconds_max=0.02)
        outcomes = Counter()
        rng = random.Random(7)

        class Busy:
            """Stands for a turn: user code for about the limit, then the engine's own work."""

            def run(self):
                def user_code(_):
                    end = time.perf_counter() + rng.uniform(0.02, 0.06)
                    while time.perf_counter() < end:
                        pass

                try:
                    decider.runner(user_code, None)
                    outcomes["in time"] += 1
                except TurnDeadline:
                    outcomes["struck"] += 1
                for _ in range(3_000):  # a deadline that strikes here comes out of `decider.run` below
                    len("engine")

            def park(self, reason, detail):
                outcomes["abandoned"] += 1  # on a machine that gave the thread no time at all

        for _ in range(30):
            await decider.run([Busy() for _ in range(10)])
        decider.stop()
        assert outcomes["in time"] + outcomes["struck"] == 300
        assert outcomes["in time"]
        assert outcomes["struck"]

    asyncio.run(live())


WAY = {_Thread.run_user_code.__code__, _Thread._leave.__code__}


class _Stepper:
    """Raises the deadline, from another thread as the watchdog does, when the decider's thread is at its n-th step."""

    def __init__(self, thread):
        self.thread, self.at, self.step = thread, 0, 0
        self._ask, self._done = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            self._ask.acquire()
            if self.thread.lock.acquire(blocking=False):  # else the watchdog would have to wait
                self.thread.lock.release()
                self.thread.looked_at, self.thread.looks = self.thread.inside, LOOKS
                self.thread.look(1e6)
            self._done.release()

    def begin(self, at):
        self.at, self.step = at, 0
        while self._done.acquire(blocking=False):
            pass

    def trace(self, frame, event, argument):
        if frame.f_code not in WAY:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.step += 1
            if self.step == self.at:
                self._ask.release()
                self._done.acquire()
        return self.trace


def test_wherever_a_deadline_strikes_on_the_way_into_and_out_of_user_code_the_engine_is_whole():
    async def live():
        decider = ThreadDecider(asyncio.get_running_loop(), turn_seconds_max=1e6)
        thread = decider._thread
        stepper = _Stepper(thread)
        outcomes = Counter()

        class Turn:
            def run(self):
                sys.settrace(stepper.trace)
                try:
                    decider.runner(lambda _: 1, None)
                    outcomes["in time"] += 1
                except TurnDeadline:
                    outcomes["struck"] += 1
                finally:
                    sys.settrace(None)
                for _ in range(300):  # nothing may strike the engine's own code
                    len("engine")
                assert (thread.inside, thread.told_at) == (0, 0), f"at step {stepper.at}"
                assert thread.lock.acquire(blocking=False), f"at step {stepper.at}"
                thread.lock.release()

        for step in itertools.count(1):
            stepper.begin(step)
            await asyncio.wait_for(decider.run([Turn()]), 10)
            if stepper.step < step:
                break
        decider.stop()
        assert outcomes["in time"] > 10
        assert outcomes["struck"] > 5

    asyncio.run(live())
