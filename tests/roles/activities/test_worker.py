import asyncio
import contextvars
import inspect
import itertools

import pytest

from perdure.adapters.memory import Fault
from perdure.codec.avro import encode
from perdure.core.commands import CompleteActivity, FailActivity
from perdure.core.effects import CancelTimer, SetTimer
from perdure.core.errors import NonRetryableError
from perdure.ports.errors import RecordTooLarge, TopicMissing
from perdure.ports.log import Committed, Outgoing
from perdure.roles.activities import ActivitySettings, InlineSlots
from perdure.roles.activities.watermark import decode_metadata
from perdure.workflow.app import App
from tests.roles.activities.world import World, until
from tests.roles.timers.virtual import run_virtually


def world(**kwargs):
    def mark(test):
        def run(**parameters):
            async def whole():
                w = await World(**kwargs).open()
                await test(w, **parameters)
                for worker in w.workers:
                    if not worker.log.closed:
                        await worker.stop()

            run_virtually(whole())

        run.__name__ = test.__name__
        run.__signature__ = inspect.Signature(list(inspect.signature(test).parameters.values())[1:])
        return run

    return mark


@world(partitions=3)
async def test_a_result_goes_to_the_partition_that_the_run_names(w):
    worker = await w.start()
    await w.log.append([Outgoing("t.activities", 1, *_key_value(w.task(7, text='{"a":1}', partition=2)))])
    assert await w.result(7) == CompleteActivity("1.2.7", 0, 7, 1, '{"a":1}')
    assert len(await w.log.fetch("t.instances", 2, 0, 10)) == 1
    assert worker.stats.completed == 1


def _key_value(record):
    return record.key, record.value


class TooOld(NonRetryableError):
    pass


def _raise(error):
    def activity(ctx, value):
        raise error

    return activity


def _raise_async(error):
    async def activity(ctx, value):
        raise error

    return activity


@pytest.mark.parametrize("make", [_raise, _raise_async])
@pytest.mark.parametrize(
    ("error", "retryable"),
    [(ValueError("no"), True), (TooOld("too old"), False), (SystemExit(3), True), (KeyboardInterrupt(), True),
     (asyncio.CancelledError("own"), True), (BaseException("x"), True)],
)  # fmt: skip
@world()
async def test_whatever_an_activity_raises_is_its_failure_and_not_the_workers(w, make, error, retryable):
    w.app.add_activity(make(error), name="bad")
    worker = await w.start()
    await w.ask(1, "bad", "1")
    failed = await w.result(1)
    assert isinstance(failed, FailActivity)
    assert (failed.error_type, failed.error_message) == (type(error).__name__, str(error))
    assert failed.retryable is retryable
    assert "in activity" in failed.stack_trace and "run_plain" not in failed.stack_trace
    await w.ask(2, "echo", "2")
    await w.result(2)
    assert worker.stats.failed == 1


def _wants_number(ctx, value: int):
    return value


@pytest.mark.parametrize(
    ("activity", "text", "error_type"),
    [
        (lambda ctx, value: {1, 2}, "", "PayloadError"),
        (lambda ctx, value: "x" * 1_100_000, "", "PayloadTooLarge"),
        (_wants_number, '"word"', "PayloadError"),
        (lambda ctx, value: 1, "{", "PayloadError"),
    ],
)
@world()
async def test_a_payload_that_does_not_fit_fails_by_name_and_is_not_tried_again(w, activity, text, error_type):
    w.app.add_activity(activity, name="bad")
    await w.start()
    await w.ask(1, "bad", text)
    failed = await w.result(1)
    assert (failed.error_type, failed.retryable) == (error_type, False)
    if error_type == "PayloadTooLarge":
        assert "reference" in failed.error_message
    await until(lambda: w.committed().offset == 1)


class Stubborn(Exception):
    def __str__(self):
        raise SystemExit("even its text")


@world()
async def test_an_exception_whose_text_raises_is_a_failure_too(w):
    w.app.add_activity(_raise(Stubborn()), name="bad")
    await w.start()
    await w.ask(1, "bad")
    assert (await w.result(1)).error_type == "Stubborn"


@world()
async def test_the_context_names_the_call_and_its_key_is_the_same_for_every_attempt(w):
    seen = []
    w.app.add_activity(seen.append, name="look")
    await w.start()
    await w.ask(5, "look", attempt=1)
    await w.ask(5, "look", attempt=2)
    await until(lambda: len(seen) == 2)
    assert [(c.workflow_id, c.task_id, c.attempt) for c in seen] == [("i5", 5, 1), ("i5", 5, 2)]
    assert {c.idempotency_key for c in seen} == {"i5/1.0.5/0/5"}


@pytest.mark.parametrize("is_async", [False, True])
@world()
async def test_each_activity_has_a_context_of_its_own(w, is_async):
    mark = contextvars.ContextVar("mark", default="clean")

    def touch(ctx):
        before = mark.get()
        mark.set("dirty")
        return before

    async def touch_async(ctx):
        return touch(ctx)

    w.app.add_activity(touch_async if is_async else touch, name="touch")
    await w.start()
    for n in (1, 2):
        await w.ask(n, "touch")
        assert (await w.result(n)).output == '"clean"'


@world()
async def test_results_of_one_turn_of_the_loop_share_an_append(w):
    worker = await w.start()
    await w.log.append([w.task(n, "wait") for n in range(100)])
    await until(lambda: w.running == 100)
    w.gate.set()
    await until(lambda: worker.stats.in_flight == 0)
    assert [len(batch) for batch in worker.log.appends] == [100]


@world(settings=ActivitySettings(in_flight_max=7))
async def test_no_more_than_the_bound_run_at_once(w):
    worker = await w.start()
    for n in range(50):
        await w.ask(n, "wait")
    await asyncio.sleep(1)
    assert w.running == 7 and worker.stats.in_flight == 7
    w.gate.set()
    await until(lambda: worker.stats.completed == 50)
    assert w.running_max == 7


@world()
async def test_a_position_never_passes_a_result_that_is_not_in_the_log(w):
    worker = await w.start()
    worker.log.faults = [Fault.FAILED, Fault.UNKNOWN_NOT_WRITTEN] * 6
    await w.ask(1)
    await asyncio.sleep(10)
    assert w.runs["i1"] == 1
    assert await w.results() == [] and w.committed().offset <= 0
    await w.result(1)
    await until(lambda: w.committed().offset == 1)
    assert w.runs["i1"] == 1


@world()
async def test_a_lost_answer_may_repeat_a_result_but_never_loses_it(w):
    worker = await w.start()
    worker.log.faults = [Fault.UNKNOWN_WRITTEN]
    await w.ask(1)
    await until(lambda: w.committed().offset == 1)
    assert {type(message) for _, message in await w.results()} == {CompleteActivity}


@world()
async def test_after_a_crash_only_what_was_not_finished_runs_again(w):
    worker = await w.start()
    await w.ask(0, "wait")
    for n in range(1, 20):
        await w.ask(n)
    await until(lambda: worker.stats.completed == 19)
    await asyncio.sleep(1)
    assert w.committed().offset in (-1, 0)
    await w.crash(worker)
    w.gate.set()
    await w.start()
    await w.result(0)
    await until(lambda: w.committed().offset == 20)
    assert w.runs == {"i0": 2} | {f"i{n}": 1 for n in range(1, 20)}


@world()
async def test_a_crash_between_result_and_position_delivers_again(w):
    worker = await w.start()
    worker.log.faults = [Fault.UNKNOWN_WRITTEN]
    await w.ask(1)
    await until(lambda: w.runs["i1"])
    await asyncio.sleep(0.01)
    await w.crash(worker)
    await w.start()
    await until(lambda: w.committed().offset == 1)
    assert [key for key, _ in await w.results()] == [1, 1]  # the orchestrator keeps the first


@world()
async def test_a_task_that_takes_its_workers_down_fails_by_name_and_the_innocent_complete(w):
    deaths = asyncio.Queue()
    killed = 0

    async def kill(ctx):
        nonlocal killed
        killed += 1
        deaths.put_nowait(None)
        await asyncio.Event().wait()

    w.app.add_activity(kill, name="kill")
    for n in range(5):
        await w.ask(n, "wait")
    await w.ask(5, "kill")
    for n in range(6, 10):
        await w.ask(n, "wait")
    for _ in range(10):
        worker = await w.start()
        try:
            await asyncio.wait_for(deaths.get(), 5)
        except TimeoutError:
            break
        await w.crash(worker)
        if killed == 1:
            w.gate.set()  # from here on the innocent end when they get their turn
    failed = await w.result(5)
    assert (failed.error_type, failed.retryable) == ("WorkerCrashed", False)
    assert killed == 4  # and the fifth delivery is its end
    assert {key for key, message in await w.results() if isinstance(message, CompleteActivity)} == set(range(10)) - {5}
    await until(lambda: w.committed().offset == 10)


@world()
async def test_a_count_is_durable_before_its_suspect_runs(w):
    counts = []

    def look(ctx):
        counts.append(decode_metadata(w.committed().metadata, w.committed().offset)[1])

    w.app.add_activity(look, name="look")
    await w.ask(1, "look")
    await w.start()
    await until(lambda: counts)
    assert counts == [{0: 1}]


@world()
async def test_a_first_delivery_costs_no_commit_of_its_own(w):
    worker = await w.start()
    await asyncio.sleep(1)
    reader = (await worker._membership).reader("t.activities", 0)
    commits = []
    commit = reader.commit

    async def counted(*args, lazy=False):
        commits.append(lazy)
        await commit(*args, lazy=lazy)

    reader.commit = counted
    await w.ask(1)
    await w.result(1)
    await until(lambda: w.committed().offset == 1)
    assert commits == [True]


@world()
async def test_what_cannot_be_read_goes_to_the_dead_letters_and_the_rest_goes_on(w):
    worker = await w.start()
    await w.log.append(
        [
            Outgoing("t.activities", 0, b"i1", b"garbage", (("traceparent", b"x"),)),
            Outgoing("t.activities", 0, b"i1", encode(SetTimer("1.0.0", 0, 1, 1, "timer", 0))),
            Outgoing("t.activities", 0, b"\xff", w.task(3).value),
            Outgoing("t.activities", 0, b"i1", w.task(3, partition=99).value),
        ]
    )
    await w.ask(5)
    await w.result(5)
    letters = await w.log.fetch("t.dead-letters", 0, 0, 10)
    assert len(letters) == 4 and worker.stats.dead_letters == 4
    assert (letters[0].key, letters[0].value) == (b"i1", b"garbage")
    headers = dict(letters[0].headers)
    assert headers["traceparent"] == b"x" and headers["perdure-origin"] == b"t.activities/0/0"
    assert b"too short" in headers["perdure-reason"]
    await until(lambda: w.committed().offset == 5)


@world(settings=ActivitySettings(unregistered_window_s=0))
async def test_an_unregistered_activity_fails_by_name_at_once_where_nobody_else_could_know_it(w):
    await w.start()
    await w.ask(1, "ecco")
    failed = await w.result(1, 0.1)
    assert (failed.error_type, failed.retryable) == ("ActivityNotRegistered", False)
    assert "'ecco'" in failed.error_message and "'echo'" in failed.error_message


@world(partitions=2)
async def test_an_unregistered_activity_is_tried_on_other_workers(w):
    await w.start(app=App())
    await w.start()
    for n in range(4):
        await w.ask(n, partition=n % 2)
    for n in range(4):
        assert isinstance(await w.result(n), CompleteActivity)


@world()
async def test_an_activity_that_no_worker_knows_fails_when_its_window_has_passed(w):
    worker = await w.start(app=App())
    began = w.clock.now_us()
    await w.ask(1)
    assert (await w.result(1)).error_type == "ActivityNotRegistered"
    assert 30e6 <= w.clock.now_us() - began < 45e6
    assert 3 < worker.stats.refused < 30
    await until(lambda: w.committed().offset == worker.stats.refused + 1)


@world()
async def test_running_activities_survive_a_rebalance_and_run_once(w):
    worker = await w.start()
    for n in range(5):
        await w.ask(n, "wait")
    await until(lambda: w.running == 5)
    w.broker.rebalance("t.activity-worker")
    await asyncio.sleep(1)
    assert worker.stats.in_flight == 5
    w.gate.set()
    await until(lambda: worker.stats.in_flight == 0)
    assert w.committed().offset == 5
    assert set(w.runs.values()) == {1}
    assert len(await w.results()) == 5


@world(partitions=2)
async def test_what_runs_when_its_partition_moves_is_run_by_nobody_else(w):
    first = await w.start()
    await w.ask(0, "wait", partition=0)
    await w.ask(1, "wait", partition=1)
    await until(lambda: w.running == 2)
    second = await w.start()
    await asyncio.sleep(100)
    assert w.running == 2
    w.gate.set()
    await until(lambda: first.stats.completed == 2)
    assert {number for number, _ in await w.results()} == {0, 1}
    assert w.committed(0).offset == 1 and w.committed(1).offset == 1
    assert second.stats.redelivered == 0


@world(partitions=2)
async def test_a_lease_speaks_for_what_runs_when_its_partition_moves(w):
    first = await w.start()
    await w.ask(0, "wait", partition=0)
    await w.ask(1, "wait", partition=1, timeout_s=600)
    await until(lambda: w.running == 2)
    assert len(await w.leases()) == 1
    await w.start()
    await asyncio.sleep(100)
    leases = [number for number, message in await w.leases() if isinstance(message, SetTimer)]
    assert leases.count(1) == 1  # at its deadline
    assert leases.count(0) > 3  # and signs of life for the one that has none
    await w.crash(first)  # from here on the lease is all there is
    await asyncio.sleep(100)
    assert w.running == 0 and await w.results() == []
    last = max(message.fire_at_us for number, message in await w.leases() if number == 0)
    assert last < w.clock.now_us()


@world(partitions=2)
async def test_what_is_short_ends_before_its_partition_moves_and_needs_no_lease(w):
    await w.start()
    await w.ask(0, "wait", partition=0)
    await w.ask(1, "wait", partition=1)
    await until(lambda: w.running == 2)
    asyncio.get_running_loop().call_later(0.2, w.gate.set)
    await w.start()
    await until(lambda: w.committed(0).offset == 1 and w.committed(1).offset == 1)
    assert await w.leases() == [] and set(w.runs.values()) == {1}


@world(partitions=2)
async def test_what_is_still_being_claimed_when_its_partition_moves_is_begun_by_the_next_owner_alone(w):
    first = await w.start()
    append, hold = first.log.append, asyncio.Event()

    async def held(records):
        if any(record.topic == w.topics.timers for record in records):
            await hold.wait()
        await append(records)

    first.log.append = held
    for n in range(2):
        await w.ask(n, "wait", partition=n, timeout_s=600)
    await until(lambda: first.stats.in_flight == 2)
    asyncio.get_running_loop().call_later(0.3, hold.set)
    await w.start()
    await asyncio.sleep(30)
    assert w.running == 2
    assert w.runs == {"i0": 1, "i1": 1}


class HeldSlots(InlineSlots):
    """Begins its first job and then none until it is let go."""

    held = True

    def _run_next(self):
        if not self.held:
            super()._run_next()

    def withdraw(self):
        begun, *waiting = [*self._jobs] or [None]
        self._jobs.clear()
        if begun is not None:
            self._jobs.append(begun)
        return waiting

    def let_go(self):
        self.held = False
        for _ in list(self._jobs):
            self._run_next()


@world(partitions=2)
async def test_what_waits_for_a_slot_when_its_partition_moves_is_the_next_owners(w):
    order = []

    def slow(ctx, _):
        order.append(ctx.workflow_id)

    w.app.add_activity(slow, name="slow")
    first = await w.start(slots=HeldSlots())
    for n in range(6):
        await w.ask(n, "slow", partition=n % 2)
    await until(lambda: first.stats.in_flight == 6)
    second = await w.start()
    await until(lambda: second.stats.completed + first.stats.in_flight >= 6)
    first._dispatcher._slots.let_go()
    await until(lambda: len(order) == 6)
    assert sorted(order) == [f"i{n}" for n in range(6)]
    assert second.stats.completed > 0


@world()
async def test_a_worker_that_was_thrown_out_sends_results_and_moves_no_position(w):
    zombie = await w.start()
    await w.ask(0, "wait")
    await until(lambda: w.running == 1)
    w.broker.expel(await zombie._membership)
    w.gate.set()
    await w.result(0)
    await asyncio.sleep(1)
    assert w.committed().offset <= 0
    w.broker.revive(await zombie._membership)
    await until(lambda: w.committed().offset == 1)


@world()
async def test_draining_lets_running_activities_finish_and_starts_no_other(w):
    worker = await w.start(settings=ActivitySettings(in_flight_max=2))
    for n in range(6):
        await w.ask(n, "wait")
    await until(lambda: w.running == 2)
    draining = asyncio.ensure_future(worker.drain(10))
    await asyncio.sleep(1)
    w.gate.set()
    await draining
    assert len(await w.results()) == 2 and sum(w.runs.values()) == 2
    assert w.committed().offset == 2
    await w.start()
    await until(lambda: w.committed().offset == 6)
    assert set(w.runs.values()) == {1}


@world()
async def test_what_outlasts_the_drain_is_delivered_again_and_sends_no_failure(w):
    worker = await w.start()
    await w.ask(0, "wait")
    await until(lambda: w.running == 1)
    await worker.drain(3)
    assert w.running == 0 and await w.results() == []
    w.gate.set()
    await w.start()
    assert isinstance(await w.result(0), CompleteActivity)


@world()
async def test_a_loop_that_is_shut_down_makes_no_failures_of_its_activities(w):
    worker = await w.start()
    await w.ask(0, "wait")
    await until(lambda: w.running == 1)
    for attempt in worker._dispatcher._attempts.values():
        attempt.work.cancel()
    await asyncio.sleep(1)
    assert await w.results() == [] and w.committed().offset <= 0


@world()
async def test_consumed_tasks_are_deleted_from_the_log(w):
    await w.start()
    for n in range(20):
        await w.ask(n)
    await asyncio.sleep(30)
    assert await w.log.bounds("t.activities", 0) == (20, 20)


@world()
async def test_consumed_tasks_are_deleted_whatever_the_log_has_raised_once(w):
    worker = await w.start()
    delete = worker.log.delete_before
    troubles = [OSError("no certificate")]

    async def now_and_then(*place):
        if troubles:
            raise troubles.pop()
        await delete(*place)

    worker.log.delete_before = now_and_then
    await w.ask(0)
    await asyncio.sleep(30)
    assert not troubles
    await w.ask(1)
    await asyncio.sleep(30)
    assert await w.log.bounds("t.activities", 0) == (2, 2)


@world()
async def test_an_idle_worker_sets_no_timers(w):
    await w.start()
    await w.ask(1)
    await asyncio.sleep(100)
    loop = asyncio.get_running_loop()
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []


@world()
async def test_a_result_that_no_record_holds_fails_by_name(w):
    worker = await w.start()
    append = worker.log.append

    async def small(records):
        for index, record in enumerate(records):
            if len(record.value) > 2000:
                raise RecordTooLarge("too large", index if index % 2 else -1)
        await append(records)

    worker.log.append = small
    for n in range(6):
        await w.ask(n, text=f'"{"x" * 3000}"' if n in (2, 3) else "1")
    for n in range(6):
        result = await w.result(n)
        if n in (2, 3):
            assert (result.error_type, result.retryable) == ("PayloadTooLarge", False)
        else:
            assert result.output == "1"
    await until(lambda: w.committed().offset == 6)


async def test_a_worker_that_could_not_start_can_be_stopped():
    w = World()
    with pytest.raises(TopicMissing):
        await w.start()
    await w.workers[0].stop()


# Leases


@world()
async def test_a_time_out_is_a_lease_in_the_log_before_the_activity_begins(w):
    seen = []

    async def look(ctx):
        seen.append(await w.leases())

    w.app.add_activity(look, name="look")
    await w.start()
    now = w.clock.now_us()
    await w.ask(1, "look", timeout_s=10)
    await w.result(1)
    lease = SetTimer("1.0.1", 0, 1, 1, "lease", seen[0][0][1].fire_at_us)
    assert seen == [[(1, lease)]]
    assert 10_000_000 <= lease.fire_at_us - now < 10_100_000
    assert (await w.leases())[1:] == [(1, CancelTimer("1.0.1", 0, 1, 1, "lease", lease.fire_at_us))]


@world()
async def test_an_async_activity_past_its_time_out_is_cancelled_and_its_lease_speaks_for_it(w):
    worker = await w.start()
    await w.ask(1, "wait", timeout_s=10)
    await asyncio.sleep(9.9)
    assert w.running == 1
    await asyncio.sleep(0.2)
    assert w.running == 0
    assert await w.results() == []
    assert [type(message) for _, message in await w.leases()] == [SetTimer]
    assert worker.stats.timed_out == 1 and worker.stats.overrun == 0 and worker.stats.in_flight == 0
    await until(lambda: w.committed().offset == 1)


@world()
async def test_an_activity_that_ignores_its_cancellation_counts_as_overrun_and_its_result_is_dropped(w):
    async def stubborn(ctx):
        while not w.gate.is_set():
            try:
                await w.gate.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    w.app.add_activity(stubborn, name="stubborn")
    worker = await w.start()
    await w.ask(1, "stubborn", timeout_s=1)
    await asyncio.sleep(2)
    assert worker.stats.overrun == 1
    w.gate.set()
    await until(lambda: worker.stats.overrun == 0)
    assert await w.results() == []


@world()
async def test_a_claim_that_reaches_the_log_after_its_own_deadline_runs_nothing(w):
    worker = await w.start()
    worker.log.faults = [Fault.FAILED] * 8
    await w.ask(1, "wait", timeout_s=1)
    await until(lambda: w.committed().offset == 1)
    assert not w.runs and worker.stats.in_flight == 0
    assert len(await w.leases()) == 1


@world()
async def test_a_crash_soon_after_the_claim_costs_no_attempt(w):
    worker = await w.start()
    await w.ask(1, "wait", timeout_s=600)
    await asyncio.sleep(20)
    await w.crash(worker)
    w.gate.set()
    await w.start()
    assert isinstance(await w.result(1), CompleteActivity)
    assert w.clock.now_us() < (await w.leases())[0][1].fire_at_us


@world()
async def test_a_long_activity_shows_a_sign_of_life_and_lets_the_position_pass(w):
    worker = await w.start()
    await w.ask(0, "wait")
    await w.ask(1)
    await asyncio.sleep(29)
    assert await w.leases() == [] and w.committed().offset <= 0
    await asyncio.sleep(10)
    assert len(await w.leases()) == 1
    assert w.committed().offset == 2
    await asyncio.sleep(200)
    leases = [message for _, message in await w.leases()]
    gaps = [after.fire_at_us - before.fire_at_us for before, after in itertools.pairwise(leases)]
    assert len(leases) >= 8 and all(19e6 < gap < 30e6 for gap in gaps)
    assert leases[-1].fire_at_us > w.clock.now_us() + 30e6
    assert worker.stats.in_flight == 1
    w.gate.set()
    await w.result(0)
    assert (await w.leases())[-1] == (0, CancelTimer("1.0.0", 0, 0, 1, "lease", leases[-1].fire_at_us))


@world()
async def test_a_long_activity_with_a_time_out_needs_no_further_lease(w):
    await w.start()
    await w.ask(0, "wait", timeout_s=600)
    await asyncio.sleep(29)
    assert w.committed().offset <= 0
    await asyncio.sleep(10)
    assert len(await w.leases()) == 1
    await until(lambda: w.committed().offset == 1, 6)


@world()
async def test_an_inline_slot_runs_one_after_the_other(w):
    worker = await w.start(slots=InlineSlots())
    await w.log.append([w.task(n) for n in range(300)])
    await until(lambda: worker.stats.completed == 300)
    assert [key for key, _ in await w.results()] == list(range(300))


@world()
async def test_a_worker_with_nothing_to_do_leaves_no_lag_behind_the_ends_of_transactions(w):
    writer = await w.log.open_writer("w")
    await writer.commit([w.task(1)])
    topic = w.topics.activities()
    await w.broker.commit_offset("t.activity-worker", topic, 0, Committed(1, ""), lazy=False)
    assert await w.log.bounds(topic, 0) == (0, 2)  # what ended the transaction has an offset of its own
    await w.start()

    async def stored():
        return w.committed().offset == 2

    assert await until(stored)
    assert not w.runs


@world(partitions=2)
async def test_a_position_never_passes_tasks_that_wait_for_a_place(w):
    await w.start(settings=ActivitySettings(in_flight_max=1))
    await w.ask(0, "wait")

    async def running():
        return w.running

    assert await until(running)
    await w.log.append([w.task(n, partition=1) for n in (1, 2, 3)])
    await asyncio.sleep(3 * w.settings.tidy_s)
    assert w.committed(partition=1).offset in {-1, 0}
    w.gate.set()
    for n in range(4):
        await w.result(n)
