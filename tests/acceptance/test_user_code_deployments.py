"""A running instance meets other code: it goes on, or is parked and told why, and a fixed deployment carries it on."""

from datetime import timedelta

import pytest

import perdure as wf


def deployment(workflow, *, name="order", activities=("reserve", "charge", "ship")):
    app = wf.App()
    app.add_workflow(workflow, name=name)
    for each in activities:

        def activity(ctx, _input, each=each):
            return each

        app.add_activity(lambda ctx, given, each=each: each, name=each)
    return app


def first(ctx):
    yield ctx.call_activity("reserve")
    yield ctx.wait_for_external_event("paid")
    return (yield ctx.call_activity("ship"))


def other_step(ctx):
    yield ctx.call_activity("charge")
    yield ctx.wait_for_external_event("paid")
    return "never"


def other_kind(ctx):
    yield ctx.create_timer(timedelta(days=1))
    yield ctx.wait_for_external_event("paid")


def one_step_more(ctx):
    yield wf.when_all([ctx.call_activity("reserve"), ctx.call_activity("charge")])
    yield ctx.wait_for_external_event("paid")


def one_step_less(ctx):
    yield ctx.wait_for_external_event("paid")
    return "never"


def ends_early(ctx):
    return "never"
    yield


def fails_early(ctx):
    raise LookupError("a bug in the new code")
    yield


def fixed(ctx):
    yield ctx.call_activity("reserve", input="another input is no divergence")
    yield ctx.wait_for_external_event("paid")
    yield ctx.call_activity("charge")
    return (yield ctx.call_activity("ship"))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (other_step, ["history has activity 'reserve'", "the code asked for activity 'charge'"]),
        (other_kind, ["history has activity 'reserve'", "the code asked for timer"]),
        (one_step_less, ["history has activity 'reserve'", "the code did not ask for it", "asked for nothing"]),
        (ends_early, ["history has activity 'reserve'", "it returned (function at "]),
        (fails_early, ["history has activity 'reserve'", "it raised LookupError: a bug in the new code (File "]),
    ],
)
def test_a_divergence_parks_the_instance_with_both_sides_and_a_fix_carries_it_on(world_of, changed, told):
    world = world_of(deployment(first))
    world.start("order", instance_id="o")
    world.until(lambda: "ActivityCompleted" in world.events("o"), "the first step is done")
    world.restart(deployment(changed))
    world.raise_workflow_event("o", "paid")

    stalled = world.stalled("o")
    assert stalled["reason"] == "diverged"
    for part in [*told, "at event 2"]:
        assert part in stalled["detail"]
    if changed in (other_step, other_kind, one_step_less):  # the others stand nowhere any more
        assert f"{__file__}:" in stalled["detail"]

    world.resume_workflow("o")  # the same code again: the same end
    assert world.stalled("o")["reason"] == "diverged"
    world.restart(deployment(fixed))
    assert world.result("o") == "ship"
    assert "WorkflowRecovered" in world.events("o")


def test_a_step_that_history_does_not_have_yet_is_taken_live(world_of):
    """What the code asks for at the end of history is what it would have asked for next."""
    world = world_of(deployment(first))
    world.start("order", instance_id="o")
    world.until(lambda: "ActivityCompleted" in world.events("o"), "the first step is done")
    world.restart(deployment(fixed))
    world.raise_workflow_event("o", "paid")
    assert world.result("o") == "ship"
    assert "WorkflowStalled" not in world.events("o")


def test_a_step_more_beside_the_last_recorded_one_is_taken_live(kit_of):
    """Beyond its end history has nothing to hold the code against: what it asks for there is new."""
    world = kit_of(deployment(first))
    world.start("order", instance_id="o")
    world.restart(deployment(one_step_more))
    world.raise_workflow_event("o", "paid")
    assert world.status("o") == "COMPLETED"
    asked = [event.name for event in world.get_history("o") if type(event).__name__ == "ActivityScheduled"]
    assert asked == ["reserve", "charge"]


def test_a_workflow_that_is_gone_is_parked_and_carried_on_when_it_is_back(world_of):
    world = world_of(deployment(first))
    world.start("order", instance_id="o")
    world.until(lambda: "ActivityCompleted" in world.events("o"), "the first step is done")
    world.restart(deployment(first, name="renamed"))
    world.raise_workflow_event("o", "paid")
    stalled = world.stalled("o")
    assert (stalled["reason"], "'order'" in stalled["detail"]) == ("unregistered", True)
    with pytest.raises(wf.UnknownWorkflowError):
        world.start("order")
    world.restart(deployment(first))
    assert world.result("o") == "ship"


def test_a_stalled_instance_waits_for_its_fix_over_many_restarts(kit_of):
    world = kit_of(deployment(first))
    world.start("order", instance_id="o")
    world.restart(deployment(other_step))
    world.raise_workflow_event("o", "paid")
    for _ in range(4):
        world.restart()
    assert world.status("o") == "STALLED"
    assert world.events("o").count("WorkflowStalled") == 1
    world.terminate_workflow("o")
    assert world.status("o") == "TERMINATED"


def test_results_that_come_while_it_is_stalled_are_told_afterwards(kit_of):
    def waits_twice(ctx):
        yield ctx.call_activity("reserve")
        one = yield ctx.wait_for_external_event("paid")
        two = yield ctx.wait_for_external_event("paid")
        return [one, two]

    world = kit_of(deployment(waits_twice))
    world.start("order", instance_id="o")
    world.restart(deployment(other_step))
    for number in (1, 2):
        world.raise_workflow_event("o", "paid", data=number)
    assert world.status("o") == "STALLED"
    world.restart(deployment(waits_twice))
    assert world.result("o") == [1, 2]


def test_an_activity_that_a_deployment_lost_fails_by_name(kit_of):
    world = kit_of(deployment(first))
    world.start("order", instance_id="o")
    world.restart(deployment(first, activities=("reserve", "charge")))
    world.raise_workflow_event("o", "paid")
    failure = world.end_of("o").failure_details
    assert "'ship'" in failure.message
