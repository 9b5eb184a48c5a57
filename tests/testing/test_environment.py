"""The environment: a test's view of an engine."""

import asyncio
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

import perdure as wf
from perdure import testing
from perdure.client.errors import EngineStopped
from perdure.client.portal import WrongThread

app = wf.App()


@app.activity
def ask(ctx, request):
    return None


@app.activity
def double(ctx, number: int):
    return 2 * number


@app.workflow
def approval(ctx, request):
    yield ctx.call_activity(ask, input=request)
    answered = ctx.wait_for_external_event("approval-response")
    too_late = ctx.create_timer(ctx.current_utc_datetime + timedelta(days=3))
    winner = yield wf.when_any([answered, too_late])
    return {"status": "timeout" if winner == too_late else answered.result["status"]}


@app.workflow
def doubled(ctx, number):
    return (yield ctx.call_activity(double, input=number))


@app.workflow
def fails(ctx):
    yield ctx.call_activity(double, input=1)
    raise LookupError("no such order")


@app.workflow
def reads_the_clock(ctx):
    time.time()
    return str(uuid.uuid4())


@app.workflow
def monitor(ctx, left):
    ctx.set_custom_status({"left": left})
    yield ctx.create_timer(timedelta(hours=1))
    if left > 1:
        ctx.continue_as_new(left - 1)
        return None
    return "over"


def test_three_days_pass_while_the_test_waits():
    with testing.engine(app) as env:
        began = env.now
        assert env.run(approval, {"amount": 7}) == {"status": "timeout"}
        assert env.now == began + timedelta(days=3)


def test_skipping_lets_exactly_that_much_time_pass():
    with testing.engine(app, start_at=datetime(2024, 2, 28, 12)) as env:
        env.schedule_new_workflow(approval, instance_id="a")
        env.skip(timedelta(days=3) - timedelta(seconds=1))
        assert env.status("a") == "RUNNING"
        env.skip(timedelta(seconds=1))
        assert env.status("a") == "COMPLETED"
        assert env.now == datetime(2024, 3, 2, 12)
        with pytest.raises(ValueError, match="backwards"):
            env.skip(timedelta(seconds=-1))


def test_an_answer_in_time_wins():
    with testing.engine(app) as env:
        env.schedule_new_workflow(approval, instance_id="a")
        env.skip(timedelta(days=2))
        env.raise_workflow_event("a", "approval-response", data={"status": "approved"})
        assert env.status("a") == "COMPLETED"  # without any waiting
        assert env.result("a") == {"status": "approved"}


def test_a_workflow_that_goes_on_is_looked_at_by_skipping():
    with testing.engine(app) as env:
        env.schedule_new_workflow(monitor, input=100, instance_id="m")
        env.skip(timedelta(hours=40))
        assert env.custom_status("m") == {"left": 60}
        assert env.result("m") == "over"


def test_the_world_stands_still_between_calls():
    with testing.engine(app) as env:
        env.schedule_new_workflow(approval, instance_id="a")
        before = env.now
        for _ in range(3):
            env.get_workflow_state("a")
            env.history("a")
            env.describe_workflow("a")
        assert env.now == before


def test_a_failure_is_raised_with_its_story():
    with testing.engine(app) as env, pytest.raises(testing.NotCompleted, match="no such order") as caught:
        env.run(fails)
    assert caught.value.details.error_type == "LookupError"
    assert "test_environment.py" in str(caught.value)


def test_a_terminated_workflow_has_no_result():
    with testing.engine(app) as env:
        env.schedule_new_workflow(approval, instance_id="a")
        env.terminate_workflow("a", output="enough")
        with pytest.raises(testing.NotCompleted, match="TERMINATED"):
            env.result("a")
        with pytest.raises(LookupError, match="nobody"):
            env.result("nobody")


def test_waiting_for_what_never_comes_says_what_it_is():
    waits = wf.App()

    @waits.workflow
    def for_a_signature(ctx):
        yield ctx.wait_for_external_event("signature")

    with testing.engine(waits) as env:
        env.schedule_new_workflow(for_a_signature, instance_id="w")
        with pytest.raises(testing.WaitsForever, match="'w' is RUNNING and awaits event 'signature'"):
            env.result("w")
        with pytest.raises(TimeoutError):
            env.wait_for_workflow_completion("w", timeout_in_seconds=60)
        env.raise_workflow_event("w", "signature")
        assert env.status("w") == "COMPLETED"


def test_a_crash_loses_nothing_that_was_accepted():
    with testing.engine(app) as env:
        env.schedule_new_workflow(approval, instance_id="a")
        env.skip(timedelta(days=1))
        env.restart()
        env.restart()
        assert env.result("a") == {"status": "timeout"}
        assert env.now == testing.START_AT + timedelta(days=3)
        assert len(env.calls(ask)) == 1


def test_a_crash_cuts_off_a_running_activity_and_it_is_delivered_again():
    with testing.engine(app, activities={"double": testing.hangs()}) as env:
        env.schedule_new_workflow(doubled, input=4, instance_id="d")
        env.activities.restore("double")
        env.restart()
        assert env.result("d") == 8
        assert [call.attempt for call in env.calls(double)] == [1, 1]
        assert len({call.idempotency_key for call in env.calls(double)}) == 1


def test_another_deployment_goes_on_with_what_is_there():
    with testing.engine(app) as env:
        env.schedule_new_workflow(approval, instance_id="a")
        newer = wf.App()
        newer.add_workflow(approval)
        newer.add_activity(ask)
        env.restart(newer)
        env.raise_workflow_event("a", "approval-response", data={"status": "ok"})
        assert env.result("a") == {"status": "ok"}
        with pytest.raises(wf.UnknownWorkflowError):
            env.schedule_new_workflow("doubled")


def test_the_guard_warns_and_names_the_place():
    with testing.engine(app) as env:
        env.run(reads_the_clock)
        assert [finding.what for finding in env.findings] == ["time.time", "uuid.uuid4"]
        assert all(finding.file == __file__ and finding.fix for finding in env.findings)


def test_a_strict_guard_parks_the_instance_with_the_line():
    with testing.engine(app, guard="strict") as env:
        env.schedule_new_workflow(reads_the_clock, instance_id="g")
        assert env.status("g") == "STALLED"
        stalled = env.describe_workflow("g").detail["stalled"]
        assert stalled["reason"] == "guard"
        assert f"{__file__}:" in stalled["detail"]
        assert "current_utc_datetime" in stalled["detail"]
        with pytest.raises(testing.WaitsForever, match="guard"):
            env.result("g")


def test_a_guard_that_is_off_sees_nothing():
    with testing.engine(app, guard="off") as env:
        env.run(reads_the_clock)
        assert env.findings == []


def test_minted_ids_are_the_same_at_every_run():
    def ids():
        with testing.engine(app, seed=7) as env:
            return [env.schedule_new_workflow(doubled, input=1) for _ in range(3)]

    assert ids() == ids()


async def test_inside_a_running_loop_the_way_out_is_told():
    with pytest.raises(WrongThread, match="plain `def`"):
        testing.engine(app).__enter__()

    def body():
        with testing.engine(app) as env:
            return env.run(doubled, 2)

    assert await asyncio.to_thread(body) == 4


def test_outside_its_with_block_it_says_so():
    env = testing.engine(app)
    with pytest.raises(EngineStopped, match="with"):
        env.run(doubled, 1)
    with env, pytest.raises(wf.PerdureError, match="in use"):
        env.__enter__()
    with pytest.raises(EngineStopped, match="with"):
        env.get_workflow_state("a")


def test_a_call_from_inside_an_activity_is_refused_by_name():
    reaching_back = wf.App()

    @reaching_back.activity
    def call_back(ctx):
        env.raise_workflow_event("w", "x")

    @reaching_back.workflow
    def w(ctx):
        yield ctx.call_activity(call_back)

    with testing.engine(reaching_back) as env, pytest.raises(testing.NotCompleted, match="is running the code"):
        env.run(w)


def test_an_async_activity_waits_for_the_world_really_and_sleeps_virtually():
    worldly = wf.App()
    gate = threading.Event()

    @worldly.activity
    async def outside(ctx):
        await asyncio.sleep(3600)
        threading.Timer(0.05, gate.set).start()
        return await asyncio.to_thread(gate.wait, 30)

    @worldly.workflow
    def w(ctx):
        return (yield ctx.call_activity(outside))

    with testing.engine(worldly) as env:
        assert env.run(w) is True
        passed = env.now - testing.START_AT
    assert timedelta(hours=1) < passed < timedelta(hours=1, seconds=30)


def test_a_client_without_arguments_finds_the_environment():
    with testing.engine(app) as env:
        instance_id = wf.DaprWorkflowClient().schedule_new_workflow(doubled, input=3)
        assert env.result(instance_id) == 6


def test_results_are_rebuilt_by_the_annotation():
    @dataclass
    class Receipt:
        total: int

    typed = wf.App()

    @typed.workflow
    def buy(ctx, total: int) -> Receipt:
        return Receipt(total)

    with testing.engine(typed) as env:
        assert env.run(buy, 5) == Receipt(5)


def test_many_environments_one_after_the_other_leave_nothing_behind():
    import gc
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            with testing.engine(app) as env:
                env.schedule_new_workflow(approval)
        gc.collect()
