"""What Dapr's clients say and do at the edges of a life; the life itself is in test_lifecycle.py."""

import pytest

import perdure as wf

SECONDS = 90


@pytest.fixture
def app():
    app = wf.App()

    @app.workflow
    def waits(ctx, _):
        return (yield ctx.wait_for_external_event("go"))

    @app.workflow
    def echo(ctx, value):
        return value

    return app


def test_a_conflict_is_told_in_daprs_words(world_of, app):
    world = world_of(app)
    world.start("waits", instance_id="i")
    with pytest.raises(wf.WorkflowAlreadyExists, match="an active workflow with ID 'i' already exists"):
        world.start("echo", instance_id="i")


def test_a_state_has_daprs_fields_and_its_payloads_only_if_wanted(world_of, app):
    world = world_of(app)
    state = world.end_of(world.start("echo", {"n": 1}, instance_id="i"))
    assert (state.instance_id, state.name, state.runtime_status) == ("i", "echo", wf.WorkflowStatus.COMPLETED)
    assert (state.serialized_input, state.serialized_output) == ('{"n":1}', '{"n":1}')
    assert (state.serialized_custom_status, state.failure_details) == (None, None)
    assert state.to_json()["runtime_status"] == "COMPLETED"
    bare = world.get_workflow_state("i", fetch_payloads=False)
    assert (bare.serialized_input, bare.serialized_output) == (None, None)


def test_an_unknown_id_has_no_state(world_of, app):
    world = world_of(app)
    assert world.get_workflow_state("who") is None
    assert world.wait_for_workflow_completion("who", timeout_in_seconds=SECONDS) is None


def test_a_wait_that_is_not_over_in_time_raises_a_timeout_error(world_of, app):
    world = world_of(app)
    world.start("waits", instance_id="i")
    assert world.wait_for_workflow_start("i", timeout_in_seconds=SECONDS).runtime_status is wf.WorkflowStatus.RUNNING
    with pytest.raises(TimeoutError):
        world.wait_for_workflow_completion("i", timeout_in_seconds=0.01)


def test_only_a_finished_instance_can_be_purged(world_of, app):
    world = world_of(app)
    world.start("waits", instance_id="i")
    with pytest.raises(wf.CommandRejected, match="terminate it before purging it"):
        world.purge_workflow("i")
    assert world.status("i") == "RUNNING"


def test_a_running_activity_is_not_stopped_by_a_termination(real_world_of, app, signal_of):
    begun, go_on, ended = signal_of("begun"), signal_of("go on"), signal_of("ended")

    @app.activity
    def slow(ctx, _):
        begun.set()
        go_on.wait(SECONDS)
        ended.set()

    @app.workflow
    def calls(ctx, _):
        yield ctx.call_activity(slow)

    world = real_world_of(app)
    instance_id = world.start(calls)
    assert begun.wait(SECONDS)
    world.terminate_workflow(instance_id)
    assert world.status(instance_id) == "TERMINATED"
    go_on.set()
    assert ended.wait(SECONDS)
    assert world.status(instance_id) == "TERMINATED"


def test_what_is_not_built_raises_by_name(world_of, app):
    world = world_of(app)
    with pytest.raises(NotImplementedError, match="reuse_id_policy"):
        world.start("echo", reuse_id_policy=object())
