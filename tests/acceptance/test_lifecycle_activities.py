"""Activities: retries, time-outs, results too large, and workers that die."""

import asyncio
from datetime import timedelta

import pytest

import perdure as wf
from perdure import testing

US = timedelta(microseconds=1)


def event_times(world, instance_id, kind):
    return [event.at_us * US for event in world.get_history(instance_id) if type(event).__name__ == kind]


class OutOfStock(Exception):
    """Not worth another try."""


def make_app(seen):
    app = wf.App()

    @app.activity
    def flaky(ctx, failures):
        seen.append((ctx.attempt, ctx.idempotency_key))
        if ctx.attempt <= failures:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return ctx.attempt

    @app.activity
    def hopeless(ctx, kind):
        seen.append((ctx.attempt, ctx.idempotency_key))
        raise {"own": wf.NonRetryableError, "named": OutOfStock}[kind]("sold out")

    @app.workflow
    def tries(ctx, order):
        name, data, policy = order
        policy = {
            key: timedelta(seconds=value) if "inter" in key or "time" in key else value for key, value in policy.items()
        }
        policy = wf.RetryPolicy(**policy, non_retryable_error_types=[OutOfStock])
        try:
            return (yield ctx.call_activity(name, input=data, retry_policy=policy))
        except wf.TaskFailedError as error:
            return [error.details.error_type, error.details.message]

    return app


def test_a_failed_attempt_is_tried_again_with_growing_pauses(world_of, ledger):
    world = world_of(make_app(ledger))
    tick = world.tick.total_seconds()
    policy = {
        "first_retry_interval": tick, "backoff_coefficient": 2, "max_retry_interval": 3 * tick, "max_number_of_attempts": 9,
    }  # fmt: skip
    world.start("tries", ["flaky", 4, policy], instance_id="t")
    assert world.result("t") == 5
    assert [attempt for attempt, _ in ledger] == [1, 2, 3, 4, 5]
    assert len({key for _, key in ledger}) == 1  # one idempotency key for all of them
    failed = event_times(world, "t", "ActivityFailed")
    tried = event_times(world, "t", "ActivityRetried")
    pauses = [(later - earlier) / world.tick for earlier, later in zip(failed, tried, strict=True)]
    for pause, least in zip(pauses, [1, 2, 3, 3], strict=True):
        assert pause >= least
    if world.kind == "kit":
        assert pauses == [1, 2, 3, 3]


def test_attempts_end_and_the_last_failure_is_told(world_of, ledger):
    world = world_of(make_app(ledger))
    policy = {"first_retry_interval": 0.001, "max_number_of_attempts": 3}
    assert world.run("tries", ["flaky", 99, policy]) == ["ConnectionError", "attempt 3"]
    assert [attempt for attempt, _ in ledger] == [1, 2, 3]


def test_no_attempt_begins_after_the_retry_timeout(kit_of, ledger):
    world = kit_of(make_app(ledger))
    policy = {"first_retry_interval": 60, "max_number_of_attempts": 99, "retry_timeout": 200}
    assert world.run("tries", ["flaky", 99, policy]) == ["ConnectionError", "attempt 4"]
    assert world.now == testing.START_AT + timedelta(seconds=180)


@pytest.mark.parametrize("kind", ["own", "named"])
def test_what_is_not_worth_a_retry_gets_none(world_of, ledger, kind):
    world = world_of(make_app(ledger))
    policy = {"first_retry_interval": 0.001, "max_number_of_attempts": 9}
    expected = {"own": "NonRetryableError", "named": "OutOfStock"}[kind]
    assert world.run("tries", ["hopeless", kind, policy]) == [expected, "sold out"]
    assert len(ledger) == 1


def test_a_child_workflow_is_tried_again_too(world_of, ledger):
    app = wf.App()

    @app.workflow
    def child(ctx):
        ledger.append(ctx.instance_id)
        raise ConnectionError("again")
        yield

    @app.workflow
    def parent(ctx):
        policy = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=1), max_number_of_attempts=3)
        yield ctx.call_child_workflow(child, retry_policy=policy)

    world = world_of(app)
    with pytest.raises(world.Failed) as caught:
        world.run(parent, instance_id="p")
    assert ledger == ["p:0001"] * 3
    assert caught.value.state.failure_details.error_type == "TaskFailedError"


def test_an_unregistered_activity_fails_by_name(world_of):
    app = wf.App()

    @app.activity
    def charge(ctx):
        return None

    @app.workflow
    def buys(ctx):
        yield ctx.call_activity("charg")

    world = world_of(app)
    with pytest.raises(world.Failed) as caught:
        world.run(buys)
    message = caught.value.state.failure_details.message
    assert "'charg'" in message
    assert "'charge'" in message


# -- time-outs -----------------------------------------------------------------------------------------------------


def timeouts_app(calls):
    app = wf.App()

    @app.activity
    async def slow(ctx, patience):
        calls.append(ctx.attempt)
        if ctx.attempt < patience:
            await asyncio.get_running_loop().create_future()
        return ctx.attempt

    @app.workflow
    def waits(ctx, order):
        timeout, patience, attempts = order
        policy = wf.RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=attempts)
        try:
            return (
                yield ctx.call_activity(slow, input=patience, timeout=timedelta(seconds=timeout), retry_policy=policy)
            )
        except wf.TaskFailedError as error:
            return [error.details.error_type, error.details.message]

    return app


def test_an_activity_that_does_not_return_times_out(world_of, ledger):
    world = world_of(timeouts_app(ledger))
    seconds = 3 * world.tick.total_seconds()  # counted from the call: the worker has to begin within it
    error_type, message = world.run("waits", [seconds, 99, 1])
    assert (error_type, f"{seconds:g} s" in message) == ("ActivityTimeout", True)
    assert ledger == [1]


def test_a_time_out_is_an_attempt_that_failed(world_of, ledger):
    world = world_of(timeouts_app(ledger))
    assert world.run("waits", [3 * world.tick.total_seconds(), 3, 5]) == 3
    assert ledger == [1, 2, 3]


def test_the_deadline_holds_when_the_worker_is_dead(kit_of, ledger):
    """Half a minute after its claim a task is its lease's: a worker that died then leaves the time-out to the timer."""
    world = kit_of(timeouts_app(ledger))
    world.start("waits", [3600, 99, 1], instance_id="w")
    world.skip(timedelta(minutes=10))
    world.restart()
    assert ledger == [1]  # not delivered again: its lease stands for it
    assert world.result("w")[0] == "ActivityTimeout"
    assert world.now == testing.START_AT + timedelta(hours=1)


def test_a_worker_that_dies_at_once_has_its_task_delivered_again(kit_of, ledger):
    world = kit_of(timeouts_app(ledger))
    world.start("waits", [3600, 99, 1], instance_id="w")
    world.restart()
    assert ledger == [1, 1]
    assert world.result("w")[0] == "ActivityTimeout"


def test_a_long_activity_without_a_timeout_outlives_half_a_day_and_a_crash(kit_of):
    app = wf.App()
    calls = []

    @app.activity
    async def long(ctx):
        calls.append(ctx.attempt)
        await asyncio.sleep(12 * 3600)
        return "done"

    @app.workflow
    def patient(ctx):
        policy = wf.RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=3)
        return (yield ctx.call_activity(long, retry_policy=policy))

    world = kit_of(app)
    world.start(patient, instance_id="l")
    world.skip(timedelta(hours=11))
    world.restart()
    assert world.result("l") == "done"
    assert calls == [1, 2]  # the dead worker's attempt was given up when its lease ended


def test_the_result_of_an_attempt_that_timed_out_is_not_taken(kit_of):
    app = wf.App()

    @app.activity
    async def late(ctx):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return f"late {ctx.attempt}"
        return "in time"

    @app.workflow
    def asks(ctx):
        policy = wf.RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=2)
        yield ctx.call_activity(late, timeout=timedelta(seconds=10), retry_policy=policy)

    world = kit_of(app)
    with pytest.raises(world.Failed) as caught:
        world.run(asks, instance_id="a")
    assert "took longer than 10 s" in caught.value.state.failure_details.message
    assert "ActivityCompleted" not in world.events("a")


def test_the_default_timeout_of_the_app_counts(world_of):
    app = wf.App(default_activity_timeout=timedelta(milliseconds=500))

    @app.activity
    async def hangs(ctx):
        await asyncio.get_running_loop().create_future()

    @app.workflow
    def asks(ctx):
        yield ctx.call_activity(hangs)

    world = world_of(app)
    with pytest.raises(world.Failed) as caught:
        world.run(asks)
    assert "took longer than 0.5 s" in caught.value.state.failure_details.message
    if world.kind == "kit":
        assert world.now == testing.START_AT + timedelta(milliseconds=500)


# -- sizes ---------------------------------------------------------------------------------------------------------

BIG = "x" * (1024 * 1024)


def sizes_app(runs):
    app = wf.App()

    @app.activity
    def returns_much(ctx, size):
        runs.append(ctx.attempt)
        return "x" * size

    @app.workflow
    def asks(ctx, size):
        policy = wf.RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=5)
        try:
            result = yield ctx.call_activity(returns_much, input=size, retry_policy=policy)
        except wf.TaskFailedError as error:
            return error.details.error_type
        return len(result)

    @app.workflow
    def returns_too_much(ctx):
        return BIG
        yield

    @app.workflow
    def passes_too_much(ctx):
        yield ctx.call_activity(returns_much, input=BIG)

    @app.workflow
    def waits(ctx):
        yield ctx.wait_for_external_event("go")

    return app


def test_an_oversized_payload_is_refused_with_advice(world_of, ledger):
    world = world_of(sizes_app(ledger))
    with pytest.raises(wf.PayloadTooLarge, match="reference"):
        world.start("asks", BIG)
    world.start("waits", instance_id="w")
    with pytest.raises(wf.PayloadTooLarge, match="event 'go'"):
        world.raise_workflow_event("w", "go", data=BIG)
    with pytest.raises(wf.PayloadTooLarge):
        world.terminate_workflow("w", output=BIG)
    assert world.status("w") == "RUNNING"


def test_an_oversized_result_is_a_failure_by_name_and_no_loop(world_of, ledger):
    world = world_of(sizes_app(ledger))
    assert world.run("asks", 1024 * 1024 - 2) == 1024 * 1024 - 2  # with its quotes, the limit itself
    assert world.run("asks", 1024 * 1024 - 1) == "PayloadTooLarge"
    assert ledger == [1, 1]


@pytest.mark.parametrize("name", ["returns_too_much", "passes_too_much"])
def test_an_oversized_value_of_the_orchestrators_fails_it(world_of, ledger, name):
    world = world_of(sizes_app(ledger))
    failure = world.end_of(world.start(name)).failure_details
    assert (failure.error_type, "reference" in failure.message) == ("PayloadTooLarge", True)
