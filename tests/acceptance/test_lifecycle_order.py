"""What happens first: events, ends and generations that meet in one batch. The order of the log alone decides."""

from datetime import timedelta

import pytest

import perdure as wf
from perdure.client.errors import NotFinished, NotRunning


def make_app():
    app = wf.App()

    @app.workflow
    def one(ctx):
        return (yield ctx.wait_for_external_event("item"))

    @app.workflow
    def two(ctx):
        first = yield ctx.wait_for_external_event("item")
        return [first, (yield ctx.wait_for_external_event("item"))]

    @app.workflow
    def eternal(ctx, state):
        state["seen"].append([ctx.generation, (yield ctx.wait_for_external_event("item"))])
        if len(state["seen"]) == state["count"]:
            return state["seen"]
        ctx.continue_as_new(state, save_events=state["save"])
        return None

    return app


def start(name, input=None, instance_id="x", **options):
    return ("schedule_new_workflow", (name,), {"input": input, "instance_id": instance_id, **options})


def item(data, name="item", **options):
    return ("raise_workflow_event", ("x", name), {"data": data, **options})


TERMINATE = ("terminate_workflow", ("x",), {})
PAUSE = ("pause_workflow", ("x",), {})
RESUME = ("resume_workflow", ("x",), {})
PURGE = ("purge_workflow", ("x",), {})

TABLE = [
    # what comes in one batch, what becomes of each command, how the instance stands then, its events
    ([start("one"), item(1), TERMINATE], [None, None, NotRunning], "COMPLETED", "Started Raised Completed"),
    ([start("one"), TERMINATE, item(1)], [None, None, NotRunning], "TERMINATED", "Started Terminated"),
    ([start("one"), item(1), item(2)], [None, None, NotRunning], "COMPLETED", "Started Raised Completed"),
    ([start("two"), item(1), TERMINATE], [None, None, None], "TERMINATED", "Started Raised Terminated"),
    ([start("two"), item(1), item(2)], [None, None, None], "COMPLETED", "Started Raised Raised Completed"),
    (
        [start("two"), PAUSE, item(1), item(2), RESUME],
        [None] * 5, "COMPLETED", "Started Suspended Raised Raised Resumed Completed",
    ),
    ([start("one"), PAUSE, item(1), TERMINATE], [None] * 4, "TERMINATED", "Started Suspended Raised Terminated"),
    ([start("one"), start("two"), item(1)], [None, wf.WorkflowAlreadyExists, None], "COMPLETED", "Started Raised Completed"),
    ([start("one"), item(1), start("two")], [None, None, None], "RUNNING", "Started"),
    ([start("one"), TERMINATE, start("two"), item(1), item(2)], [None] * 5, "COMPLETED", "Started Raised Raised Completed"),
    ([start("one"), PURGE, item(1)], [None, NotFinished, None], "COMPLETED", "Started Raised Completed"),
    ([start("one"), item(1), PURGE, item(2)], [None, None, None, wf.InstanceNotFound], "", ""),
    ([start("one"), item(1), PURGE, start("two")], [None] * 4, "RUNNING", "Started"),
    ([item(1), start("one")], [wf.InstanceNotFound, None], "RUNNING", "Started"),
    ([start("one"), item(1, command_id="e"), item(1, command_id="e")], [None] * 3, "COMPLETED", "Started Raised Completed"),
]  # fmt: skip


def short(world):
    if not world.status("x"):
        return ""
    return " ".join(name.removeprefix("Workflow").removeprefix("Event") for name in world.events("x"))


def outcomes(answers):
    return [type(answer) if isinstance(answer, Exception) else None for answer in answers]


@pytest.mark.parametrize(("commands", "expected", "status", "events"), TABLE)
def test_in_one_batch(kit_of, commands, expected, status, events):
    world = kit_of(make_app())
    assert outcomes(world.together(*commands)) == expected
    assert (world.status("x"), short(world)) == (status, events)


@pytest.mark.parametrize(("commands", "expected", "status", "events"), TABLE)
def test_one_by_one_it_is_the_same(kit_of, commands, expected, status, events):
    """A batch's borders are nowhere in a history."""
    world = kit_of(make_app())
    assert outcomes([world.together(command)[0] for command in commands]) == expected
    assert (world.status("x"), short(world)) == (status, events)


def test_the_table_holds_on_a_real_engine(real_world_of):
    world = real_world_of(make_app())
    for number, (commands, expected, status, _) in enumerate(TABLE):
        renamed = [
            (verb, given if verb.startswith("schedule") else (f"x{number}", *given[1:]),
             {**options, "instance_id": f"x{number}"} if verb.startswith("schedule") else options)
            for verb, given, options in commands
        ]  # fmt: skip
        assert outcomes(world.together(*renamed)) == expected, f"row {number}"
        assert world.status(f"x{number}") == status, f"row {number}"


def test_events_that_meet_a_continue_as_new_reach_the_next_generations(world_of):
    world = world_of(make_app())
    state = {"seen": [], "count": 4, "save": True}
    world.together(start("eternal", state), *(item(number) for number in range(4)))
    assert world.result("x") == [[0, 0], [1, 1], [2, 2], [3, 3]]


def test_without_save_events_a_generation_drops_what_came_before_its_end_and_was_not_taken(world_of):
    """0 ends the first generation; 1, 2 and 3 come before the second begins: it takes one, and drops the rest."""
    world = world_of(make_app())
    state = {"seen": [], "count": 4, "save": False}
    world.together(start("eternal", state), *(item(number) for number in range(4)))
    for number in (4, 5):
        generation = number - 2
        world.until(lambda at=generation: waits_in(world, at), f"generation {generation} waits")
        world.raise_workflow_event("x", "item", data=number)
    assert world.result("x") == [[0, 0], [1, 1], [2, 4], [3, 5]]


@pytest.mark.parametrize("restarted", [False, True])
def test_events_of_a_pause_that_no_generation_was_told_of_go_along_whatever_save_events_says(world_of, restarted):
    """On resume the first ends its generation: the others were not told to it, so that they are not its to drop."""
    app = make_app()

    @app.workflow
    def renews(ctx, generation):
        data = yield ctx.wait_for_external_event("item")
        if generation == 0:
            ctx.continue_as_new(1, save_events=False)
        return data

    world = world_of(app)
    world.start("renews", 0, instance_id="x")
    world.pause_workflow("x")
    for number in (0, 1, 2):
        world.raise_workflow_event("x", "item", data=number)
    if restarted:
        world.restart()
    world.resume_workflow("x")
    assert world.result("x") == 1


def test_of_two_waits_for_one_name_the_earlier_gets_the_earlier_event(world_of):
    app = make_app()

    @app.workflow
    def waits_twice(ctx):
        return (yield wf.when_all([ctx.wait_for_external_event("item"), ctx.wait_for_external_event("ITEM")]))

    world = world_of(app)
    world.together(start("waits_twice"), item("first"), item("second"))
    assert world.result("x") == ["first", "second"]


def waits_in(world, generation):
    found = world.describe_workflow("x")
    return found.generation == generation and [step["kind"] for step in found.detail["awaits"]] == ["event"]


@pytest.mark.parametrize(("save", "kept"), [(True, "early"), (False, "late")])
def test_save_events_decides_about_those_that_were_told_and_not_taken(world_of, save, kept):
    app = make_app()

    @app.workflow
    def takes_go_first(ctx, generation):
        if generation == 0:
            yield ctx.wait_for_external_event("go")
            ctx.continue_as_new(1, save_events=save)
            return None
        return (yield ctx.wait_for_external_event("item"))

    world = world_of(app)
    world.together(start("takes_go_first", 0), item("early"), item(None, "go"), item("late"))
    assert world.result("x") == kept
    assert world.events("x")[1:3] == (["EventRaised", "EventRaised"] if save else ["EventRaised", "WorkflowBegun"])


def test_a_generation_ends_with_its_timers_and_results_and_keeps_its_children(world_of):
    app = make_app()

    @app.workflow
    def child(ctx):
        return (yield ctx.wait_for_external_event("go"))

    @app.workflow
    def renews(ctx, seconds):
        if ctx.generation:
            yield ctx.wait_for_external_event("end")
            return ctx.generation
        ctx.create_timer(timedelta(seconds=seconds))
        ctx.call_child_workflow(child, instance_id="kid")
        yield ctx.wait_for_external_event("renew")
        ctx.continue_as_new(seconds)
        return None

    world = world_of(app)
    world.start("renews", 2 * world.tick.total_seconds(), instance_id="x")
    world.until(lambda: world.status("kid") == "RUNNING", "the child runs")
    world.raise_workflow_event("x", "renew")
    world.skip(3 * world.tick)
    world.raise_workflow_event("kid", "go")
    world.end_of("kid")
    world.raise_workflow_event("x", "end")
    assert world.result("x") == 1
    assert not {"TimerFired", "ChildCompleted"} & set(world.events("x"))
    world.purge_workflow("x")
    world.until(lambda: world.get_workflow_state("kid") is None, "the earlier generation's child is purged with it")


def test_a_termination_reaches_the_children_of_earlier_generations(world_of):
    app = make_app()

    @app.workflow
    def child(ctx):
        yield ctx.wait_for_external_event("go")

    @app.workflow
    def renews(ctx, generation):
        if generation == 0:
            ctx.call_child_workflow(child, instance_id="kid")
            yield ctx.wait_for_external_event("renew")
            ctx.continue_as_new(1)
        else:
            yield ctx.wait_for_external_event("end")

    world = world_of(app)
    world.start("renews", 0, instance_id="x")
    world.until(lambda: world.status("kid") == "RUNNING", "the child runs")
    world.raise_workflow_event("x", "renew")
    world.until(lambda: world.describe_workflow("x").generation == 1, "the next generation is there")
    world.terminate_workflow("x")
    assert world.end_of("kid").runtime_status.name == "TERMINATED"


def test_hundreds_of_generations_leave_a_short_history(kit_of):
    app = wf.App()

    @app.workflow
    def counts(ctx, number):
        yield ctx.create_timer(timedelta(minutes=1))
        if number == 300:
            return ctx.generation
        ctx.continue_as_new(number + 1)
        return None

    world = kit_of(app)
    assert world.run("counts", 0, instance_id="x") == 300
    assert len(world.events("x")) == 5


# -- tasks at their edges ------------------------------------------------------------------------------------------


def edges_app():
    app = wf.App()

    @app.activity
    def echo(ctx, value):
        return value

    @app.activity
    def fail(ctx, text):
        raise ValueError(text)

    @app.workflow
    def nothing_to_wait_for(ctx):
        return [(yield wf.when_all([])), len((yield wf.when_all([wf.when_all([]), ctx.call_activity(echo, input=1)])))]

    @app.workflow
    def nobody_can_win(ctx):
        yield wf.when_any([])

    @app.workflow
    def twice(ctx):
        task = ctx.call_activity(echo, input=5)
        first = yield task
        return [
            first,
            (yield task),
            task.result,
            (yield wf.when_all([task, task])),
            (yield wf.when_any([task])) is task,
        ]

    @app.workflow
    def in_two_composites(ctx):
        a, b = ctx.call_activity(echo, input="a"), ctx.call_activity(echo, input="b")
        both, any_of_them = wf.when_all([a, b]), wf.when_any([a, b])
        winner = yield any_of_them
        return [winner.result in "ab", (yield both)]

    @app.workflow
    def first_failure(ctx):
        tasks = [
            ctx.call_activity(echo, input=1),
            ctx.call_activity(fail, input="one"),
            ctx.call_activity(echo, input=2),
        ]
        try:
            yield wf.when_all(tasks)
        except wf.TaskFailedError as error:
            return [error.details.message, [task.is_complete for task in tasks], tasks[1].is_failed]

    @app.workflow
    def a_failed_winner(ctx):
        winner = yield wf.when_any([ctx.call_activity(fail, input="lost")])
        return [winner.is_failed, str(winner.get_exception().details.message)]

    @app.workflow
    def yields_a_number(ctx):
        try:
            yield 42
        except TypeError as error:
            text = str(error)
        return [text, (yield ctx.call_activity(echo, input="it goes on"))]

    @app.workflow
    def many_kinds_of_time(ctx):
        from datetime import UTC, timezone

        now = ctx.current_utc_datetime
        east = timezone(timedelta(hours=5))
        yield ctx.create_timer(now - timedelta(days=9))
        yield ctx.create_timer(timedelta(seconds=-5))
        yield ctx.create_timer(now.replace(tzinfo=UTC).astimezone(east) + timedelta(milliseconds=2))
        yield ctx.create_timer(now + timedelta(milliseconds=1))
        return ctx.current_utc_datetime >= now + timedelta(milliseconds=2)

    @app.workflow
    def never_yields(ctx, value):
        return value

    return app


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nothing_to_wait_for", [[], 2]),
        ("twice", [5, 5, 5, [5, 5], True]),
        ("in_two_composites", [True, ["a", "b"]]),
        ("first_failure", ["one", [True, True, True], True]),
        ("a_failed_winner", [True, "lost"]),
        ("many_kinds_of_time", True),
        ("never_yields", None),
    ],
)
def test_tasks_at_their_edges(world_of, name, expected):
    assert world_of(edges_app()).run(name) == expected


def test_when_any_of_nothing_is_an_error(world_of):
    world = world_of(edges_app())
    failure = world.end_of(world.start("nobody_can_win")).failure_details
    assert (failure.error_type, "at least one task" in failure.message) == ("ValueError", True)


def test_a_yield_of_something_else_says_what_to_yield(world_of):
    text, result = world_of(edges_app()).run("yields_a_number")
    assert "ctx.create_timer" in text
    assert "wf.when_all" in text
    assert result == "it goes on"
