"""Slips that users make: each is told by name, and nothing else happens."""

import asyncio
import os
import subprocess
import sys

import pytest

import perdure as wf
from perdure.ports.errors import DatabaseInUse

app = wf.App()


@app.workflow
def hello(ctx, name):
    return f"hello {name}"
    yield


def test_another_name_of_the_same_file_is_refused_while_it_is_in_use(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with wf.embedded(app, tmp_path / "real.db"), pytest.raises(DatabaseInUse, match=str(os.getpid())):
        wf.embedded(app, tmp_path / "link.db").start()


def test_a_misspelt_condition_is_refused_before_anything_is_purged(tmp_path):
    with wf.embedded(app, tmp_path / "w.db") as client:
        client.wait_for_workflow_completion(client.schedule_new_workflow(hello, input="a", instance_id="a"))
        with pytest.raises(TypeError, match="no condition idprefix"):
            client.purge_workflows(name="hello", idprefix="x")
        assert client.get_workflow_state("a") is not None


def test_an_engine_runs_an_app_and_says_so(tmp_path):
    with pytest.raises(TypeError, match=r"perdure\.App, not str"):
        wf.embedded("orders:app", tmp_path / "w.db")
    with pytest.raises(TypeError, match=r"its \.app is one"):
        wf.embedded(wf.WorkflowRuntime(), tmp_path / "w.db")


@pytest.mark.parametrize("wrong", [5, None, b"x"])
def test_ids_and_event_names_of_another_type_are_refused_by_name(tmp_path, wrong):
    with wf.embedded(app, tmp_path / "w.db") as client:
        with pytest.raises(wf.PerdureError, match="instance ID is a str"):
            client.get_workflow_state(wrong)
        with pytest.raises(ValueError, match="event name"):
            client.raise_workflow_event("a", wrong)
        with pytest.raises(TypeError, match="a time is a datetime"):
            client.schedule_new_workflow(hello, start_at="tomorrow")


FORKED = """
import os, sys
import perdure as wf
from perdure.client.errors import EngineStopped
from perdure.client.running import engines
app = wf.App()
with wf.embedded(app, sys.argv[1]) as client:
    child = os.fork()
    if not child:
        told = False
        try:
            client.get_workflow_state("x")
        except EngineStopped as error:
            told = str(os.getppid()) in str(error)
        os._exit(0 if told and not engines() else 3)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_is_told_that_the_engine_is_its_parents(tmp_path):
    run = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path / "w.db")]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "0", done.stderr


async def test_entering_that_is_cancelled_leaves_no_engine_behind(tmp_path):
    async def enter():
        async with wf.embedded(app, tmp_path / "w.db"):
            await asyncio.sleep(60)

    for pause in (0, 0.01, 0.05):
        task = asyncio.create_task(enter())
        await asyncio.sleep(pause)
        task.cancel()
        await asyncio.wait([task])
        async with wf.embedded(app, tmp_path / "w.db") as client:  # else: DatabaseInUse, by ourselves
            assert await client.get_workflow_state("nobody") is None


KEPT = []


@app.workflow
def leaks(ctx, _):
    KEPT.append(ctx)
    yield ctx.wait_for_external_event("go")
    return "as history has it"


@app.workflow
def slips(ctx, what):
    wrong = {"timeout": {"timeout": 5}, "retry": {"retry_policy": 5}}[what]
    try:
        yield ctx.call_activity("nothing", **wrong)
    except TypeError as error:
        return str(error)


def test_a_context_that_was_kept_is_refused_outside_its_turn(tmp_path):
    with wf.embedded(app, tmp_path / "w.db") as client:
        instance_id = client.schedule_new_workflow(leaks)
        client.wait_for_workflow_start(instance_id, timeout_in_seconds=30)
        for use in (
            lambda ctx: ctx.call_activity("x"),
            lambda ctx: ctx.continue_as_new(1),
            lambda ctx: ctx.set_custom_status(1),
        ):
            with pytest.raises(RuntimeError, match="outside its turn"):
                use(KEPT[-1])
        client.raise_workflow_event(instance_id, "go")
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        assert state.serialized_output == '"as history has it"'


@pytest.mark.parametrize(("what", "told"), [("timeout", "timeout is a timedelta"), ("retry", "is a RetryPolicy")])
def test_arguments_of_a_wrong_type_are_named_where_they_are_given(tmp_path, what, told):
    with wf.embedded(app, tmp_path / "w.db") as client:
        instance_id = client.schedule_new_workflow(slips, input=what)
        assert told in client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30).serialized_output
