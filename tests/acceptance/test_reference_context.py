"""What an orchestrator and an activity are given: the names of Dapr's contexts, one after the other."""

import re
from datetime import datetime, timedelta

import pytest

import perdure as wf


def app_of(*workflows):
    app = wf.App()
    for workflow in workflows:
        app.add_workflow(workflow)

    @app.activity
    def double(ctx, number):
        return 2 * number

    return app


def test_an_orchestrator_knows_its_id_and_a_naive_utc_time(world_of):
    def workflow(ctx, _):
        now = ctx.current_utc_datetime
        return [ctx.instance_id, now.tzinfo is None, now == ctx.now(), ctx.is_replaying]

    assert world_of(app_of(workflow)).run(workflow, instance_id="me") == ["me", True, True, False]


def test_replaying_is_said_while_code_runs_over_its_history_and_draws_are_the_same_again(world_of, ledger):
    def workflow(ctx, _):
        drawn = [
            ctx.random().random(),
            str(ctx.uuid4()),
            str(ctx.new_guid()),
            ctx.random_int(1, 6),
            ctx.random_choice("abc"),
        ]
        ledger.append([ctx.is_replaying, ctx.now().isoformat(), drawn])
        yield ctx.wait_for_external_event("go")
        ledger.append([ctx.is_replaying, None, None])

    world = world_of(app_of(workflow))
    world.start(workflow, instance_id="i")
    world.until(lambda: len(ledger) == 1, "it waits")
    world.skip(world.tick)
    world.restart()
    world.raise_workflow_event("i", "go")
    world.result("i")
    (first, at, drawn), (again, at_again, drawn_again), (beyond, _, _) = ledger
    assert (first, again, beyond) == (False, True, False)
    assert (at, drawn) == (at_again, drawn_again)


def test_a_custom_status_is_seen_from_outside(world_of):
    def workflow(ctx, _):
        ctx.set_custom_status("halfway")
        yield ctx.wait_for_external_event("go")

    world = world_of(app_of(workflow))
    instance_id = world.start(workflow)
    world.wait_for_workflow_start(instance_id)
    assert world.custom_status(instance_id) == "halfway"


@pytest.mark.parametrize("kind", ["datetime", "timedelta"])
def test_a_timer_takes_a_time_or_a_duration(world_of, kind):
    def workflow(ctx, _):
        begun = ctx.current_utc_datetime
        pause = timedelta(milliseconds=20)
        yield ctx.create_timer(begun + pause if kind == "datetime" else pause)
        return ctx.current_utc_datetime - begun >= pause

    assert world_of(app_of(workflow)).run(workflow) is True


def test_an_activity_is_called_by_its_function_or_its_name(world_of):
    def double(ctx, number):
        return 2 * number

    def workflow(ctx, number):
        one = yield ctx.call_activity(double, input=number)
        two = yield ctx.call_activity("double", input=one)
        return two

    app = wf.App()
    app.add_workflow(workflow)
    app.add_activity(double)
    assert world_of(app).run(workflow, 3) == 12


def test_a_child_has_the_parents_id_and_its_number_or_the_id_it_was_given(world_of):
    def child(ctx, number):
        return [ctx.instance_id, ctx.parent_instance_id, number]

    def parent(ctx, _):
        first = yield ctx.call_child_workflow(child, input=1)
        second = yield ctx.call_child_workflow("child", input=2, instance_id="of-my-own")
        return [first, second]

    found = world_of(app_of(parent, child)).run(parent, instance_id="p")
    assert found == [["p:0001", "p", 1], ["of-my-own", "p", 2]]


def test_a_minted_id_is_32_hex_digits(world_of):
    def workflow(ctx, _):
        return None

    assert re.fullmatch("[0-9a-f]{32}", world_of(app_of(workflow)).start(workflow))


@pytest.mark.parametrize("save", [True, False])
def test_continue_as_new_keeps_the_id_and_events_only_if_asked_to(world_of, save):
    def workflow(ctx, generation):
        if generation == 0:
            yield ctx.wait_for_external_event("first")
            yield ctx.wait_for_external_event("first")
            ctx.continue_as_new(1, save_events=save)
            return None
        try:
            yield ctx.wait_for_external_event("second", timeout=timedelta(milliseconds=20))
        except TimeoutError:
            return [ctx.instance_id, "dropped"]
        return [ctx.instance_id, "kept"]

    world = world_of(app_of(workflow))
    world.start(workflow, 0, instance_id="i")
    for name in ("first", "second", "first"):
        world.raise_workflow_event("i", name)
    assert world.result("i") == ["i", "kept" if save else "dropped"]


def test_an_activity_knows_its_call_and_its_key_is_the_same_at_every_attempt(world_of, ledger):
    def workflow(ctx, _):
        retry = wf.RetryPolicy(first_retry_interval=timedelta(milliseconds=5), max_number_of_attempts=3)
        return (yield ctx.call_activity("third_time", retry_policy=retry))

    app = app_of(workflow)

    @app.activity
    def third_time(ctx, _):
        ledger.append(ctx.idempotency_key)
        if ctx.attempt < 3:
            raise ConnectionError("not yet")
        return [ctx.workflow_id, ctx.task_id, ctx.attempt, ctx.idempotency_key]

    workflow_id, task_id, attempt, key = world_of(app).run(workflow, instance_id="i")
    assert (workflow_id, task_id, attempt) == ("i", 1, 3)
    assert ledger == [key] * 3


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("is_patched", lambda ctx: ctx.is_patched("fix")),
        ("app_id", lambda ctx: ctx.call_activity("double", input=1, app_id="other")),
        ("app_id", lambda ctx: ctx.call_child_workflow("workflow", app_id="other")),
    ],
    ids=["is_patched", "activity app_id", "child app_id"],
)
def test_what_is_not_built_fails_the_workflow_by_name(world_of, name, ask):
    def workflow(ctx, _):
        yield ask(ctx)

    world = world_of(app_of(workflow))
    failure = world.end_of(world.start(workflow)).failure_details
    assert failure.error_type == "NotImplementedError"
    assert name in failure.message


def test_without_an_annotation_records_arrive_as_plain_json_with_one_as_themselves(world_of):
    from dataclasses import dataclass

    @dataclass
    class Order:
        id: int

    app = wf.App()

    @app.activity
    def bare(ctx, order):
        return order

    @app.activity
    def typed(ctx, order: Order) -> Order:
        return Order(order.id + 1)

    @app.workflow
    def workflow(ctx, _):
        plain = yield ctx.call_activity(bare, input=Order(1))
        built = yield ctx.call_activity(typed, input=Order(1))
        return [plain, type(built).__name__, built.id]

    assert world_of(app).run(workflow) == [{"id": 1}, "Order", 2]


def test_times_of_a_state_are_naive_utc(world_of):
    def workflow(ctx, _):
        return None

    world = world_of(app_of(workflow))
    state = world.end_of(world.start(workflow))
    assert type(state.created_at) is datetime and state.created_at.tzinfo is None
    assert state.created_at <= state.last_updated_at
