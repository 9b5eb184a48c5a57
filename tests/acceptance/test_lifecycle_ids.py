"""Ids: a command repeated has no second effect, and nothing of an earlier run reaches a later one."""

from datetime import timedelta

import pytest

import perdure as wf
from perdure.client.errors import NotRunning


def make_app():
    app = wf.App()

    @app.workflow
    def waits(ctx, name="go"):
        return (yield ctx.wait_for_external_event(name or "go"))

    @app.workflow
    def collects(ctx, count):
        found = []
        while len(found) < count:
            found += [(yield ctx.wait_for_external_event("item"))]
        return found

    @app.workflow
    def instant(ctx, value):
        return value
        yield

    return app


# -- every command, twice ------------------------------------------------------------------------------------------


def test_a_start_repeated_starts_once(world_of):
    world = world_of(make_app())
    for _ in range(3):
        world.start("waits", instance_id="w", command_id="start-1")
    world.raise_workflow_event("w", "go", data=1)
    assert world.result("w") == 1
    run = world.describe_workflow("w").run
    world.start("waits", instance_id="w", command_id="start-1")  # after its end, too
    assert (world.status("w"), world.describe_workflow("w").run) == ("COMPLETED", run)


def test_a_start_without_an_id_repeated_means_the_same_instance(world_of):
    world = world_of(make_app())
    first = world.start("instant", 1, command_id="start-1")
    assert world.start("instant", 1, command_id="start-1") == first
    assert world.start("instant", 1, command_id="start-2") != first


def test_an_event_repeated_is_raised_once(world_of):
    world = world_of(make_app())
    world.start("collects", 2, instance_id="c")
    for command_id in ("e-1", "e-1", "e-2", "e-1"):
        world.raise_workflow_event("c", "item", data=command_id, command_id=command_id)
    assert world.result("c") == ["e-1", "e-2"]
    world.raise_workflow_event("c", "item", data="e-1", command_id="e-1")  # its first answer, also after the end
    assert world.events("c").count("EventRaised") == 2


def test_a_pause_repeated_after_the_resume_does_not_pause_again(world_of):
    world = world_of(make_app())
    world.start("waits", instance_id="w")
    world.pause_workflow("w", command_id="p")
    world.pause_workflow("w", command_id="p-again")  # of a paused one
    world.resume_workflow("w", command_id="r")
    world.pause_workflow("w", command_id="p")
    world.pause_workflow("w", command_id="p-again")
    assert world.status("w") == "RUNNING"
    world.pause_workflow("w", command_id="another")
    world.resume_workflow("w", command_id="r")
    assert world.status("w") == "SUSPENDED"


def test_a_termination_repeated_does_not_reach_the_next_run(world_of):
    world = world_of(make_app())
    world.start("waits", instance_id="w")
    world.terminate_workflow("w", output="first", command_id="t")
    world.terminate_workflow("w", output="second", command_id="t")
    assert world.end_of("w").serialized_output == '"first"'
    world.start("waits", instance_id="w")
    world.terminate_workflow("w", command_id="t")
    assert world.status("w") == "RUNNING"
    with pytest.raises(wf.WorkflowAlreadyExists):
        world.start("waits", instance_id="w", command_id="new")


def test_an_event_repeated_does_not_reach_the_next_run(world_of):
    world = world_of(make_app())
    world.start("waits", instance_id="w", command_id="s-1")
    world.raise_workflow_event("w", "go", data=1, command_id="e")
    assert world.result("w") == 1
    world.start("waits", instance_id="w", command_id="s-2")
    world.raise_workflow_event("w", "go", data=1, command_id="e")
    world.start("waits", instance_id="w", command_id="s-1")  # the first start, late
    world.raise_workflow_event("w", "go", data=2, command_id="e-2")
    assert world.result("w") == 2


def test_a_purge_repeated_is_answered_again(world_of):
    world = world_of(make_app())
    world.run("instant", 1, instance_id="p")
    world.purge_workflow("p", command_id="purge")
    world.purge_workflow("p", command_id="purge")
    with pytest.raises(wf.InstanceNotFound):
        world.purge_workflow("p", command_id="another")


def test_a_purge_repeated_does_not_reach_the_next_run(world_of):
    world = world_of(make_app())
    world.run("instant", 1, instance_id="p")
    world.purge_workflow("p", command_id="purge")
    assert world.run("instant", 2, instance_id="p") == 2
    world.purge_workflow("p", command_id="purge")
    assert world.status("p") == "COMPLETED"


def test_a_start_repeated_after_the_purge_starts_nothing(world_of):
    world = world_of(make_app())
    world.start("instant", 1, instance_id="p", command_id="start")
    world.result("p")
    world.purge_workflow("p")
    world.start("instant", 1, instance_id="p", command_id="start")
    assert world.get_workflow_state("p") is None


def test_a_rerun_repeated_starts_one_instance(world_of):
    world = world_of(make_app())
    world.run("instant", 5, instance_id="first")
    again = world.rerun_workflow("first", command_id="rerun")
    assert world.rerun_workflow("first", command_id="rerun") == again
    assert world.result(again) == 5


@pytest.mark.parametrize("restarted", [False, True])
def test_repeats_are_recognised_from_what_is_stored_too(world_of, restarted):
    world = world_of(make_app())
    world.start("collects", 2, instance_id="c", command_id="s")
    world.raise_workflow_event("c", "item", data=1, command_id="e")
    if restarted:
        world.restart()
    world.start("collects", 2, instance_id="c", command_id="s")
    world.raise_workflow_event("c", "item", data=1, command_id="e")
    world.raise_workflow_event("c", "item", data=2, command_id="e-2")
    assert world.result("c") == [1, 2]
    if restarted:
        world.restart()
    world.raise_workflow_event("c", "item", data=1, command_id="e")
    with pytest.raises(NotRunning):
        world.raise_workflow_event("c", "item", data=1, command_id="e-3")


def test_an_unfit_command_id_is_refused(kit_of):
    world = kit_of(make_app())
    for bad in ("", "two words", "é", "x" * 257):
        with pytest.raises(ValueError, match="command ID"):
            world.start("instant", 1, command_id=bad)


# -- an id used again while the old run's affairs are in flight -----------------------------------------------------


def lives_app(begun, gates):
    """A workflow whose first life leaves an activity, a timer and a child behind."""
    app = wf.App()

    @app.activity
    async def slow(ctx, life):
        begun.append(life["number"])
        await gates[life["number"]].arrived()
        return f"result of life {life}"

    @app.workflow
    def child(ctx, life):
        return [life, (yield ctx.wait_for_external_event("grow up"))]

    @app.workflow
    def lives(ctx, life):
        tasks = [
            ctx.call_activity(slow, input=life),
            ctx.create_timer(timedelta(seconds=life["timer"])),
            ctx.call_child_workflow(child, input=life, instance_id=f"child-{life['number']}"),
        ]
        results = yield wf.when_all(tasks)
        return [life["number"], results[0], results[2]]

    def let_go(world, number):
        """The slow activity of one life returns."""
        world.until(lambda: number in begun, f"activity {number} runs")
        gates[number].set()

    return app, let_go


def of_kind(world, instance_id, kind):
    return [event for event in world.get_history(instance_id) if type(event).__name__ == kind]


@pytest.mark.parametrize("purged", [False, True])
def test_old_results_timers_and_children_do_not_reach_a_new_life(world_of, ledger, signal_of, purged):
    app, let_go = lives_app(ledger, {number: signal_of(str(number)) for number in (1, 2)})
    world = world_of(app)
    tick = world.tick.total_seconds()
    world.start("lives", {"number": 1, "timer": 3 * tick}, instance_id="x")
    world.until(lambda: world.status("child-1") == "RUNNING", "the first child runs")
    world.terminate_workflow("x", recursive=False)
    if purged:
        world.purge_workflow("x", recursive=False)
    world.start("lives", {"number": 2, "timer": 5 * tick}, instance_id="x")
    world.until(lambda: world.status("child-2") == "RUNNING", "the second child runs")

    let_go(world, 1)
    world.raise_workflow_event("child-1", "grow up", data="old")
    assert world.result("child-1")[1] == "old"
    world.skip(3 * world.tick)  # the first life's timer would be due
    assert not {"ActivityCompleted", "ChildCompleted"} & set(world.events("x"))
    assert world.status("x") == "RUNNING"

    let_go(world, 2)
    world.raise_workflow_event("child-2", "grow up", data="new")
    number, result, (_, grown) = world.result("x")
    assert (number, "'number': 2" in result, grown) == (2, True, "new")
    set_for, fired_for = (
        [event.fire_at_us for event in of_kind(world, "x", kind)] for kind in ("TimerCreated", "TimerFired")
    )
    assert fired_for == set_for  # its own, and no other


def test_a_recursive_purge_spares_a_child_id_that_was_taken_over(world_of):
    world = world_of(parents_app())
    world.start("parent", "kid", instance_id="old")
    world.until(lambda: world.status("kid") == "RUNNING", "the child runs")
    world.raise_workflow_event("kid", "go")
    world.end_of("old")
    assert world.run("instant", "mine", instance_id="kid") == "mine"  # somebody else's run of that id
    world.purge_workflow("old", recursive=True)
    assert world.get_workflow_state("old") is None
    world.run("instant", 1)  # what the purge has sent comes before this
    assert world.result("kid") == "mine"


def test_a_recursive_termination_spares_a_child_id_that_was_taken_over(world_of):
    app = parents_app()

    @app.workflow
    def leaves_a_child(ctx, generation):
        if generation == 0:
            ctx.call_child_workflow("waits", instance_id="kid")
            yield ctx.wait_for_external_event("renew")
            ctx.continue_as_new(1)
        else:
            yield ctx.wait_for_external_event("end")

    world = world_of(app)
    world.start("leaves_a_child", 0, instance_id="old")
    world.until(lambda: world.status("kid") == "RUNNING", "the child runs")
    world.raise_workflow_event("old", "renew")
    world.until(lambda: world.describe_workflow("old").generation == 1, "the next generation is there")
    world.raise_workflow_event("kid", "go")
    world.end_of("kid")
    world.start("waits", instance_id="kid")
    world.terminate_workflow("old", recursive=True)
    world.run("instant", 1)
    world.raise_workflow_event("kid", "go", data="mine")
    assert world.result("kid") == "mine"


def test_a_child_start_that_meets_an_active_id_fails_its_parent_by_name(world_of):
    world = world_of(parents_app())
    world.start("waits", instance_id="kid")
    with pytest.raises(world.Failed) as caught:
        world.run("parent", "kid")
    failure = caught.value.state.failure_details
    assert "already exists" in failure.message
    assert world.status("kid") == "RUNNING"


def parents_app():
    app = make_app()

    @app.workflow
    def parent(ctx, child_id):
        return (yield ctx.call_child_workflow("waits", instance_id=child_id))

    return app
