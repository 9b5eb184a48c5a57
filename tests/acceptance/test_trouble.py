"""An engine in trouble tells whoever waits, goes on when it can, and harms nobody meanwhile."""

import asyncio
import contextlib
import threading
from datetime import timedelta

import pytest

import perdure as wf
from perdure.adapters.memory import Fault
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import Engine, EngineFailed, memory_ports
from perdure.client.client import AsyncWorkflowClient
from perdure.client.errors import EngineUnavailable

released = threading.Event()
app = wf.App()


@app.activity
def stuck(ctx, _):
    released.wait(30)


@app.activity
def quick(ctx, value):
    return value


@app.workflow
def hangs(ctx, _):
    yield ctx.call_activity(stuck, timeout=timedelta(milliseconds=100))


@app.workflow
def waits(ctx, _):
    yield ctx.wait_for_external_event("go")


@app.workflow
def goes(ctx, value):
    return (yield ctx.call_activity(quick, input=value))


def test_a_worker_whose_threads_are_held_past_their_time_out_begins_anew(tmp_path):
    released.clear()
    try:
        with wf.embedded(app, tmp_path / "w.db") as client:
            ids = [client.schedule_new_workflow(hangs) for _ in range(9)]
            for each in ids:
                state = client.wait_for_workflow_completion(each, timeout_in_seconds=30)
                assert state.failure_details.error_type == "TaskFailedError"
            after = client.schedule_new_workflow(goes, input="on")
            assert client.wait_for_workflow_completion(after, timeout_in_seconds=30).serialized_output == '"on"'
    finally:
        released.set()


async def test_whoever_waits_while_nothing_can_be_committed_is_told_why():
    ports = memory_ports(SystemClock(), SystemEntropy())
    engine = Engine(app, ports)
    await engine.start()
    client = AsyncWorkflowClient(engine.transport, app=app)
    try:
        for _ in range(4):
            ports.log.broker.fail_next("commit", Fault.FAILED)
        with pytest.raises(EngineUnavailable, match="repeat it under the same command ID"):
            await client.schedule_new_workflow(goes, input=1, instance_id="a", command_id="c")
        for _ in range(4):  # each commit that fails may tell us once more
            with contextlib.suppress(EngineUnavailable):
                await client.schedule_new_workflow(goes, input=1, instance_id="a", command_id="c")
                break
        state = await client.wait_for_workflow_completion("a", timeout_in_seconds=30)
        assert state.serialized_output == "1"
    finally:
        await engine.stop()


@pytest.mark.parametrize("part", ["timers", "activities"])
async def test_a_part_that_ends_by_a_defect_ends_the_engine_and_tells_whoever_waits(part):
    """Else its timers would never fire, or its activities never run, in a process that looks alive."""
    engine = Engine(app, memory_ports(SystemClock(), SystemEntropy()))
    await engine.start()
    client = AsyncWorkflowClient(engine.transport, app=app)
    instance = await client.schedule_new_workflow(waits)
    waiting = asyncio.ensure_future(client.wait_for_workflow_completion(instance, timeout_in_seconds=60))

    async def dies():
        raise ZeroDivisionError("a defect")

    try:
        await client.schedule_new_workflow(goes, input="x")  # the waiting one is on its way before it
        ended = engine.timers.shards[0]._main_ended if part == "timers" else engine.worker.feeds[0]._task_ended
        asyncio.ensure_future(dies()).add_done_callback(ended)
        async with asyncio.timeout(30):
            await engine.failed.wait()
        assert "ZeroDivisionError: a defect: the process has to be restarted" in str(engine.failure)
        with pytest.raises(EngineFailed):
            await waiting
        with pytest.raises(EngineFailed):
            await client.schedule_new_workflow(goes, input="x")
    finally:
        waiting.cancel()
        await engine.stop()
