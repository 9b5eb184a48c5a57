"""What becomes of an instance: every operation of its life, on every engine."""

from datetime import datetime, timedelta

import pytest

import perdure as wf
from perdure.client.errors import InvalidInstanceId, NotFinished, NotRunning


def make_app():
    app = wf.App()

    @app.activity
    def double(ctx, number):
        return 2 * number

    @app.workflow
    def doubled(ctx, number):
        return (yield ctx.call_activity(double, input=number))

    @app.workflow
    def waits(ctx, name="go"):
        return (yield ctx.wait_for_external_event(name or "go"))

    @app.workflow
    def collects(ctx, count):
        found = []
        while len(found) < count:
            found += [(yield ctx.wait_for_external_event("Item"))]
        return found

    @app.workflow
    def sleeps(ctx, seconds):
        yield ctx.create_timer(timedelta(seconds=seconds))
        return "awake"

    @app.workflow
    def fails(ctx, message):
        raise LookupError(message)
        yield

    @app.workflow
    def reports(ctx):
        ctx.set_custom_status({"step": 1})
        yield ctx.wait_for_external_event("go")
        ctx.set_custom_status({"step": 2})

    @app.workflow
    def family(ctx, children):
        return (yield wf.when_all([ctx.call_child_workflow(waits, instance_id=each) for each in children]))

    @app.workflow
    def who(ctx):
        return [ctx.instance_id, ctx.parent_instance_id, ctx.workflow_name]

    @app.workflow
    def has_a_child(ctx):
        return (yield ctx.call_child_workflow(who))

    return app


# -- start ---------------------------------------------------------------------------------------------------------


def test_a_workflow_starts_under_an_id_of_its_own_and_ends(world_of):
    world = world_of(make_app())
    assert world.start("doubled", 21, instance_id="mine") == "mine"
    state = world.end_of("mine")
    assert (state.name, state.runtime_status, state.serialized_input, state.serialized_output) == (
        "doubled", wf.WorkflowStatus.COMPLETED, "21", "42",
    )  # fmt: skip
    assert state.created_at <= state.last_updated_at


def test_ids_are_minted_where_none_is_given(world_of):
    world = world_of(make_app())
    one, other = world.start("doubled", 1), world.start("doubled", 2)
    assert one != other
    assert [world.result(one), world.result(other)] == [2, 4]


def test_an_active_id_conflicts(world_of):
    world = world_of(make_app())
    world.start("waits", instance_id="w")
    with pytest.raises(wf.WorkflowAlreadyExists, match="'w' already exists"):
        world.start("doubled", 1, instance_id="w")
    world.raise_workflow_event("w", "go", data="first run")
    assert world.result("w") == "first run"


def test_a_finished_id_can_be_started_again_as_another_run(world_of):
    world = world_of(make_app())
    runs = []
    for number in (1, 2, 3):
        assert world.run("doubled", number, instance_id="again") == 2 * number
        runs.append(world.describe_workflow("again").run)
    assert len(set(runs)) == 3


def test_an_unknown_workflow_is_refused_and_leaves_nothing(world_of):
    world = world_of(make_app())
    with pytest.raises(wf.UnknownWorkflowError, match="'imagined'"):
        world.start("imagined", instance_id="i")
    assert world.get_workflow_state("i") is None


@pytest.mark.parametrize("bad", ["", "a b", "a/b", "ü", "x" * 65])
def test_an_ill_formed_id_is_refused_by_name(kit_of, bad):
    with pytest.raises(InvalidInstanceId):
        kit_of(make_app()).start("doubled", 1, instance_id=bad)


def test_a_delayed_start_is_pending_until_it_is_due(world_of):
    world = world_of(make_app())
    world.skip(world.tick)
    begins_at = world_now(world) + 5 * world.tick
    world.start("doubled", 4, instance_id="later", start_at=begins_at)
    assert world.status("later") == "PENDING"
    assert world.result("later") == 8
    begun = next(event for event in world.get_history("later") if type(event).__name__ == "WorkflowBegun")
    assert datetime(1970, 1, 1) + timedelta(microseconds=begun.at_us) >= begins_at


def test_a_delayed_start_can_be_terminated_and_then_never_begins(world_of):
    world = world_of(make_app())
    world.start("doubled", 4, instance_id="never", start_at=world_now(world) + 2 * world.tick)
    world.terminate_workflow("never")
    world.skip(4 * world.tick)
    assert world.events("never") == ["WorkflowStarted", "WorkflowTerminated"]


def test_waiting_for_the_start_ends_with_it(world_of):
    world = world_of(make_app())
    world.start("waits", instance_id="w")
    assert world.wait_for_workflow_start("w", timeout_in_seconds=10).runtime_status is wf.WorkflowStatus.RUNNING
    with pytest.raises(TimeoutError):
        world.wait_for_workflow_completion("w", timeout_in_seconds=0.05)
    assert world.wait_for_workflow_completion("nobody", timeout_in_seconds=10) is None


# -- events --------------------------------------------------------------------------------------------------------


def test_events_are_buffered_first_in_first_out_whatever_the_case_of_their_name(world_of):
    world = world_of(make_app())
    world.start("sleeps", 0, instance_id="warm-up")
    world.start("collects", 4, instance_id="c")
    for number, name in enumerate(["item", "ITEM", "Item", "iTem"]):
        world.raise_workflow_event("c", name, data=number)
    assert world.result("c") == [0, 1, 2, 3]


def test_events_raised_before_the_wait_are_kept_for_it(world_of):
    app = make_app()

    @app.workflow
    def late(ctx):
        yield ctx.wait_for_external_event("first")
        return [(yield ctx.wait_for_external_event("second")), (yield ctx.wait_for_external_event("second"))]

    world = world_of(app)
    world.start(late, instance_id="l")
    world.raise_workflow_event("l", "second", data="a")
    world.raise_workflow_event("l", "second", data="b")
    world.raise_workflow_event("l", "first")
    assert world.result("l") == ["a", "b"]


def test_an_event_for_nobody_is_refused(world_of):
    world = world_of(make_app())
    with pytest.raises(wf.InstanceNotFound, match="nobody"):
        world.raise_workflow_event("nobody", "go")
    world.run("doubled", 1, instance_id="done")
    with pytest.raises(NotRunning, match="COMPLETED"):
        world.raise_workflow_event("done", "go")


def test_a_wait_with_a_timeout_gives_up_and_a_late_event_stays_buffered(world_of, ledger):
    app = make_app()

    @app.workflow
    def impatient(ctx, seconds):
        try:
            yield ctx.wait_for_external_event("answer", timeout=timedelta(seconds=seconds))
        except TimeoutError as error:
            ledger.append(str(error))
        yield ctx.wait_for_external_event("go")
        return (yield ctx.wait_for_external_event("answer"))

    world = world_of(app)
    world.start(impatient, world.tick.total_seconds(), instance_id="i")
    world.skip(2 * world.tick)
    world.raise_workflow_event("i", "answer", data="late")
    world.raise_workflow_event("i", "go")
    assert world.result("i") == "late"
    assert "answer" in ledger[0]


# -- pause and resume ----------------------------------------------------------------------------------------------


def test_what_comes_during_a_pause_is_handled_on_resume_in_its_order(world_of):
    world = world_of(make_app())
    world.start("collects", 2, instance_id="p")
    world.pause_workflow("p")
    assert world.status("p") == "SUSPENDED"
    world.raise_workflow_event("p", "item", data=1)
    world.raise_workflow_event("p", "item", data=2)
    assert world.status("p") == "SUSPENDED"
    world.resume_workflow("p")
    assert world.result("p") == [1, 2]


def test_timers_and_results_do_not_wake_a_paused_instance(world_of):
    world = world_of(make_app())
    world.start("sleeps", world.tick.total_seconds(), instance_id="p")
    world.pause_workflow("p")
    world.pause_workflow("p")
    world.skip(3 * world.tick)
    assert world.status("p") == "SUSPENDED"
    world.restart()
    assert world.status("p") == "SUSPENDED"
    world.resume_workflow("p")
    assert world.result("p") == "awake"


def test_a_finished_instance_cannot_be_paused_resumed_or_terminated(world_of):
    world = world_of(make_app())
    world.run("doubled", 1, instance_id="done")
    for verb in (world.pause_workflow, world.resume_workflow, world.terminate_workflow):
        with pytest.raises(NotRunning):
            verb("done")
        with pytest.raises(wf.InstanceNotFound):
            verb("nobody")


# -- terminate and purge -------------------------------------------------------------------------------------------


def test_a_termination_ends_an_instance_with_its_output(world_of):
    world = world_of(make_app())
    world.start("waits", instance_id="t")
    world.terminate_workflow("t", output={"why": "enough"})
    state = world.end_of("t")
    assert (state.runtime_status.name, state.serialized_output) == ("TERMINATED", '{"why":"enough"}')


def test_a_termination_reaches_the_children_unless_told_otherwise(world_of):
    world = world_of(make_app())
    for parent, recursive in (("all", True), ("one", False)):
        children = [f"{parent}-a", f"{parent}-b"]
        world.start("family", children, instance_id=parent)
        for child in children:
            world.until(lambda child=child: world.status(child) == "RUNNING", f"{child} runs")
        world.terminate_workflow(parent, recursive=recursive)
        assert world.end_of(parent).runtime_status.name == "TERMINATED"
    for child in ("all-a", "all-b"):
        assert world.end_of(child).runtime_status.name == "TERMINATED"
    for child in ("one-a", "one-b"):
        world.raise_workflow_event(child, "go", data="alive")
        assert world.result(child) == "alive"


def test_a_terminated_child_fails_its_parent(world_of):
    world = world_of(make_app())
    world.start("family", ["child"], instance_id="parent")
    world.until(lambda: world.status("child") == "RUNNING", "the child runs")
    world.terminate_workflow("child")
    with pytest.raises(world.Failed) as caught:
        world.result("parent")
    assert "was terminated" in caught.value.state.failure_details.message


def test_a_paused_instance_can_be_terminated(world_of):
    world = world_of(make_app())
    world.start("waits", instance_id="t")
    world.pause_workflow("t")
    world.terminate_workflow("t")
    assert world.end_of("t").runtime_status.name == "TERMINATED"


def test_a_purged_instance_is_gone_with_its_children(world_of):
    world = world_of(make_app())
    world.start("family", ["kid"], instance_id="parent")
    with pytest.raises(NotFinished, match="terminate it"):
        world.purge_workflow("parent")
    world.until(lambda: world.status("kid") == "RUNNING", "the child runs")
    world.raise_workflow_event("kid", "go")
    world.end_of("parent")
    world.purge_workflow("parent")
    assert world.get_workflow_state("parent") is None
    world.until(lambda: world.get_workflow_state("kid") is None, "the child is purged, too")
    with pytest.raises(wf.InstanceNotFound):
        world.get_history("parent")
    with pytest.raises(wf.InstanceNotFound):
        world.purge_workflow("parent")


def test_a_purge_that_is_not_recursive_leaves_the_children(world_of):
    world = world_of(make_app())
    world.start("family", ["kid"], instance_id="parent")
    world.until(lambda: world.status("kid") == "RUNNING", "the child runs")
    world.raise_workflow_event("kid", "go", data=1)
    world.end_of("parent")
    world.purge_workflow("parent", recursive=False)
    assert world.get_workflow_state("parent") is None
    assert world.result("kid") == 1


def test_a_purged_id_stays_purged_over_a_restart_and_can_be_used_again(world_of):
    world = world_of(make_app())
    world.run("doubled", 1, instance_id="p")
    world.purge_workflow("p")
    world.restart()
    assert world.get_workflow_state("p") is None
    assert world.run("doubled", 2, instance_id="p") == 4


# -- what an instance tells ----------------------------------------------------------------------------------------


def test_a_custom_status_is_seen_while_it_runs_and_after(world_of):
    world = world_of(make_app())
    world.start("reports", instance_id="r")
    world.until(lambda: world.status("r") == "RUNNING", "it runs")
    assert world.custom_status("r") == {"step": 1}
    world.restart()
    assert world.custom_status("r") == {"step": 1}
    world.raise_workflow_event("r", "go")
    world.end_of("r")
    assert world.custom_status("r") == {"step": 2}


def test_a_failure_tells_its_type_text_and_place(world_of):
    world = world_of(make_app())
    state = world.end_of(world.start("fails", "no such order"))
    assert state.runtime_status is wf.WorkflowStatus.FAILED
    failure = state.failure_details
    assert (failure.error_type, failure.message) == ("LookupError", "no such order")
    assert f'"{__file__}", line ' in failure.stack_trace


def test_a_child_knows_its_parent_and_the_parent_its_child(world_of):
    world = world_of(make_app())
    child_id, parent_id, name = world.run("has_a_child", instance_id="p")
    assert (child_id, parent_id, name) == ("p:0001", "p", "who")
    assert world.run("who", instance_id="alone") == ["alone", None, "who"]
    assert world.describe_workflow("p:0001").parent_id == "p"


def test_a_description_tells_what_it_waits_for(world_of):
    world = world_of(make_app())
    world.start("waits", "signature", instance_id="w")
    world.until(lambda: world.status("w") == "RUNNING", "it runs")
    awaits = world.describe_workflow("w").detail["awaits"]
    assert [(step["kind"], step["name"]) for step in awaits] == [("event", "signature")]
    assert world.describe_workflow("nobody") is None


def test_a_rerun_starts_the_same_again_under_a_new_id(world_of):
    world = world_of(make_app())
    world.run("doubled", 21, instance_id="first")
    second = world.rerun_workflow("first")
    assert second != "first"
    assert world.result(second) == 42
    third = world.rerun_workflow("first", new_instance_id="third")
    assert world.result(third) == 42
    assert world.get_history("third")[0].rerun_of == "first"
    with pytest.raises(wf.InstanceNotFound):
        world.rerun_workflow("nobody")


def test_lists_are_filtered_and_paged(world_of):
    world = world_of(make_app())
    for number in range(5):
        world.run("doubled", number, instance_id=f"d-{number}")
    world.start("waits", instance_id="w")
    world.until(lambda: len(world.list_workflows().instances) == 6, "the list is complete")
    assert [state.instance_id for state in world.list_workflows(status="RUNNING")] == ["w"]
    assert len(world.list_workflows(name="doubled")) == 5
    first = world.list_workflows(id_prefix="d-", limit=3)
    rest = world.list_workflows(id_prefix="d-", limit=3, page=first.next)
    seen = [state.instance_id for state in (*first, *rest)]
    assert sorted(seen) == [f"d-{number}" for number in range(5)]
    assert rest.next == ""


def world_now(world):
    """The engine's own time: that of the latest event."""
    return world.end_of(world.start("doubled", 0)).last_updated_at
