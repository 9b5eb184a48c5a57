"""How failures, retries and composites behave, as Dapr's users know them."""

from datetime import timedelta

import pytest

import perdure as wf

RETRY = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=5), max_number_of_attempts=3)


class Refused(Exception):
    pass


@pytest.fixture
def app():
    app = wf.App()

    @app.activity
    def fail(ctx, text):
        raise Refused(text)

    @app.activity
    def echo(ctx, value):
        return value

    return app


def test_a_failed_task_is_thrown_with_daprs_text_and_details(world_of, app):
    @app.workflow
    def workflow(ctx, _):
        try:
            yield ctx.call_activity("fail", input="no")
        except wf.TaskFailedError as error:
            return [str(error), error.details.message, error.details.error_type, "Refused" in error.details.stack_trace]

    assert world_of(app).run(workflow, instance_id="i") == ["i: Activity task #1 failed: no", "no", "Refused", True]


def test_an_error_that_nobody_handles_fails_the_instance_with_type_text_and_stack(world_of, app):
    @app.workflow
    def workflow(ctx, _):
        yield ctx.call_activity("echo")
        raise Refused("on purpose")

    world = world_of(app)
    state = world.end_of(world.start(workflow))
    assert state.runtime_status is wf.WorkflowStatus.FAILED
    failure = state.failure_details
    assert (failure.error_type, failure.message) == ("Refused", "on purpose")
    assert "test_reference_failures.py" in failure.stack_trace


def test_a_failed_child_is_thrown_like_a_failed_activity(world_of, app):
    @app.workflow
    def child(ctx, _):
        raise Refused("not me")

    @app.workflow
    def parent(ctx, _):
        try:
            yield ctx.call_child_workflow(child)
        except wf.TaskFailedError as error:
            return error.details.error_type

    assert world_of(app).run(parent) == "Refused"


def test_yielding_what_is_no_task_raises_a_type_error(world_of, app):
    @app.workflow
    def workflow(ctx, _):
        try:
            yield 7
        except TypeError as error:
            return str(error)

    assert "not int" in world_of(app).run(workflow)


def test_a_task_tells_how_it_stands(world_of, app):
    @app.workflow
    def workflow(ctx, _):
        good, bad = ctx.call_activity("echo", input=5), ctx.call_activity("fail", input="no")
        before = [good.is_complete, bad.is_failed]
        yield wf.when_any([wf.when_all([good, bad])])
        kind = type(bad.get_exception()).__name__
        return [before, good.is_complete, bad.is_failed, good.get_result(), good.result, kind]

    assert world_of(app).run(workflow) == [[False, False], True, True, 5, 5, "TaskFailedError"]


def test_when_all_waits_for_all_and_then_raises_the_first_failure(world_of, app):
    @app.workflow
    def workflow(ctx, _):
        slow = ctx.create_timer(timedelta(milliseconds=30))
        try:
            yield wf.when_all([ctx.call_activity("fail", input="no"), slow])
        except wf.TaskFailedError:
            return slow.is_complete

    assert world_of(app).run(workflow) is True


def test_when_any_gives_the_winner_itself_failed_or_not(world_of, app):
    @app.workflow
    def workflow(ctx, _):
        bad, never = ctx.call_activity("fail", input="no"), ctx.wait_for_external_event("never")
        winner = yield wf.when_any([never, bad])
        return [winner is bad, winner == bad, winner.is_failed]

    assert world_of(app).run(workflow) == [True, True, True]


def test_a_retried_call_pauses_as_its_policy_says_and_fails_after_its_last_attempt(world_of, app, ledger):
    @app.activity
    def flaky(ctx, _):
        ledger.append(ctx.attempt)
        raise Refused("again")

    @app.workflow
    def workflow(ctx, _):
        begun = ctx.current_utc_datetime
        try:
            yield ctx.call_activity(flaky, retry_policy=RETRY)
        except wf.TaskFailedError:
            return ctx.current_utc_datetime - begun >= timedelta(milliseconds=10)

    assert world_of(app).run(workflow) is True
    assert ledger == [1, 2, 3]


@pytest.mark.parametrize("how", ["policy", "error"])
def test_what_is_not_retryable_is_not_tried_again(world_of, app, ledger, how):
    @app.activity
    def refuse(ctx, _):
        ledger.append(ctx.attempt)
        raise Refused("no") if how == "policy" else wf.NonRetryableError("no")

    @app.workflow
    def workflow(ctx, _):
        retry = wf.RetryPolicy(
            initial_retry_interval=timedelta(0), max_number_of_attempts=9, non_retryable_error_types=[Refused]
        )
        yield ctx.call_activity(refuse, retry_policy=retry)

    world = world_of(app)
    assert world.end_of(world.start(workflow)).runtime_status is wf.WorkflowStatus.FAILED
    assert ledger == [1]


def test_a_child_is_tried_again_by_its_policy(world_of, app, ledger):
    @app.workflow
    def child(ctx, _):
        ledger.append(ctx.instance_id)
        if len(ledger) < 3:
            raise Refused("not yet")
        return "at last"

    @app.workflow
    def parent(ctx, _):
        return (yield ctx.call_child_workflow(child, retry_policy=RETRY))

    assert world_of(app).run(parent, instance_id="p") == "at last"
    assert ledger == ["p:0001"] * 3


def before(ctx, _):
    yield ctx.call_activity("a")
    yield ctx.wait_for_external_event("go")
    return "ended"


def after(ctx, _):
    yield ctx.call_activity("b")
    yield ctx.wait_for_external_event("go")
    return "ended"


def deployment(workflow):
    app = wf.App()
    app.add_workflow(workflow, name="changing")
    app.add_activity(lambda ctx: "done", name="a")
    app.add_activity(lambda ctx: "done", name="b")
    return app


def test_code_that_departs_from_its_history_is_parked_and_a_fixed_deployment_carries_it_on(world_of):
    world = world_of(deployment(before))
    world.start("changing", instance_id="i")
    world.until(lambda: "ActivityCompleted" in world.events("i"), "the activity is done")
    world.restart(deployment(after))
    world.raise_workflow_event("i", "go")
    stalled = world.stalled("i")
    assert stalled["reason"] == "diverged"
    assert all(part in stalled["detail"] for part in ("'a'", "'b'", "test_reference_failures.py"))
    world.restart(deployment(before))
    assert world.result("i") == "ended"


def test_patched_code_under_another_name_runs_beside_the_old(world_of):
    """What is_patched is for in Dapr: old instances end on their code, new ones begin on the changed one."""
    app = deployment(before)
    app.add_workflow(after, name="changing_v2")
    world = world_of(app)
    ids = [world.start(name) for name in ("changing", "changing_v2")]
    for instance_id in ids:
        world.raise_workflow_event(instance_id, "go")
    assert [world.result(instance_id) for instance_id in ids] == ["ended", "ended"]
