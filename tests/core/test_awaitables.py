"""What can be yielded: tasks, composites, each of them twice, after completion, inside two composites; and what cannot."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from perdure.core.awaitables import Task, when_all, when_any
from perdure.workflow.app import App
from tests.core.engine import Engine, kinds, one, second


def result(*workflows: Callable[..., Any], **oracle: Any) -> str:
    """Run the first to its end; its output, or its error as "Type: message"."""
    engine = one(*workflows, **oracle)
    engine.start("x", workflows[0].__name__)
    engine.run()
    instance = engine.instance("x")
    return instance.output if instance.status == "COMPLETED" else f"{instance.error_type}: {instance.error_message}"


def failing(task: Any) -> Any:
    from perdure.core.commands import CompleteActivity, FailActivity

    place = (task.run, task.generation, task.task_id, task.attempt)
    if task.name.startswith("bad"):
        return FailActivity(*place, "ValueError", task.name)
    return CompleteActivity(*place, task.input)


def test_when_all_of_nothing_is_an_empty_list_at_once():
    def wf(ctx, input):
        return (yield when_all([]))

    assert result(wf) == "[]"


def test_when_any_of_nothing_is_a_value_error_where_it_is_written():
    def wf(ctx, input):
        try:
            yield when_any([])
        except ValueError as error:
            return str(error)

    assert "would wait for ever" in result(wf)


@pytest.mark.parametrize("combine", [when_all, when_any])
@pytest.mark.parametrize("wrong", [None, 1, "x", asyncio.sleep])
def test_a_composite_takes_only_tasks(combine: Callable[..., Any], wrong: Any):
    with pytest.raises(TypeError, match=f"{combine.__name__} takes tasks"):
        combine([Task(), wrong])


def test_when_all_gives_results_in_the_order_of_its_tasks():
    def wf(ctx, input):
        slow, fast = ctx.call_activity("a", input=1), ctx.create_timer(second(0))
        return (yield when_all([fast, slow, fast]))

    assert result(wf) == "[null,1,null]"


def test_when_all_waits_for_every_task_and_raises_the_first_failure_by_time():
    def wf(ctx, input):
        first, second_, third = ctx.call_activity("a"), ctx.call_activity("b"), ctx.call_activity("c")
        try:
            yield when_all([first, second_, third])
        except Exception as error:
            return [error.details.message, third.is_complete]

    engine = one(wf)
    engine.start("x", "wf")
    assert kinds(engine.fail("x", 2)) == ["ActivityFailed"]
    assert kinds(engine.fail("x", 1)) == ["ActivityFailed"]
    assert kinds(engine.complete("x", 3)) == ["ActivityCompleted", "WorkflowCompleted"]
    assert engine.instance("x").output == '["no",true]'


def test_when_any_gives_the_task_itself_and_the_others_go_on():
    def wf(ctx, input):
        a, b = ctx.call_activity("a", input=1), ctx.call_activity("b", input=2)
        winner = yield when_any([a, b])
        later = yield a
        return [winner is b, winner == b, winner.get_result(), later]

    engine = one(wf)
    engine.start("x", "wf")
    engine.complete("x", 2, "20")
    engine.complete("x", 1, "10")
    assert engine.instance("x").output == "[true,true,20,10]"


def test_when_any_completes_with_a_failure_without_raising_it():
    def wf(ctx, input):
        winner = yield when_any([ctx.call_activity("bad"), ctx.create_timer(second(9))])
        return [winner.is_failed, winner.get_exception().details.error_type]

    assert result(wf, oracle=failing) == '[true,"ValueError"]'


def test_when_any_of_complete_tasks_gives_the_first_in_the_list():
    def wf(ctx, input):
        a, b = ctx.call_activity("a"), ctx.call_activity("b")
        yield when_all([a, b])
        return (yield when_any([b, a])) is b

    assert result(wf) == "true"


def test_a_task_may_be_yielded_twice_and_after_its_completion():
    def wf(ctx, input):
        kept = ctx.call_activity("a", input=1)
        other = ctx.call_activity("b", input=2)
        return [(yield other), (yield kept), (yield kept), (yield other), kept.result]

    assert result(wf) == "[2,1,1,2,1]"


def test_a_failed_task_raises_every_time_it_is_yielded():
    def wf(ctx, input):
        bad, times = ctx.call_activity("bad"), 0
        for _ in range(3):
            try:
                yield bad
            except Exception:
                times += 1
        return times

    assert result(wf, oracle=failing) == "3"


def test_a_task_may_stand_in_two_composites():
    def wf(ctx, input):
        shared = ctx.call_activity("a", input=1)
        both = when_all([shared, ctx.call_activity("b", input=2)])
        either = when_any([ctx.create_timer(second(9)), shared])
        first = yield either
        return [first is shared, (yield both), (yield when_all([shared, shared]))]

    assert result(wf) == "[true,[1,2],[1,1]]"


def test_composites_nest():
    def wf(ctx, input):
        fan = when_all([ctx.call_activity("a", input=1), when_all([ctx.call_activity("b", input=2), when_all([])])])
        limit = ctx.create_timer(second(60))
        winner = yield when_any([limit, fan])
        return [winner is fan, fan.result]

    assert result(wf) == "[true,[1,[2,[]]]]"


def test_a_race_that_lost_the_sum_of_a_nested_failure_is_known():
    def wf(ctx, input):
        fan = when_all([ctx.call_activity("bad 1"), when_any([ctx.create_timer(second(1))])])
        try:
            yield fan
        except Exception as error:
            return [fan.is_failed, str(error)]

    assert result(wf, oracle=failing) == '[true,"x: Activity task #1 failed: bad 1"]'


def test_a_result_asked_for_too_early_is_a_value_error_that_says_so():
    def wf(ctx, input):
        task = ctx.create_timer(second(1))
        try:
            task.get_result()
        except ValueError as error:
            return [str(error), task.is_complete, task.is_failed]
        yield task

    assert "not complete" in result(wf)


def test_get_exception_of_what_did_not_fail_is_a_value_error():
    with pytest.raises(ValueError, match="not failed"):
        Task().get_exception()


def test_first_yields_that_are_there_already_are_answered_at_once():
    def wf(ctx, input):
        yield when_all([])
        yield when_all([when_all([])])
        return (yield ctx.call_activity("a", input=1))

    engine = one(wf)
    assert kinds(engine.start("x", "wf")) == ["WorkflowStarted", "ActivityScheduled"]


def test_a_loop_over_what_is_there_already_takes_one_call_of_the_runner():
    def wf(ctx, input):
        done = when_all([])
        for _ in range(10_000):
            yield done
        return "out"

    calls: list[Any] = []
    engine = one(wf)
    engine.runner = lambda function, argument: (calls.append(function), function(argument))[1]
    engine.start("x", "wf")
    assert engine.instance("x").output == '"out"'
    assert len(calls) <= 2, "a deadline per call would never see it"


class _Awaitable:
    def __await__(self):
        return (yield 7)


@pytest.mark.parametrize("wrong", [None, 7, "text", [], object(), _Awaitable()], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("where", ["first", "later"])
def test_yielding_what_is_no_task_is_a_type_error_that_says_what_to_use(wrong: Any, where: str):
    def wf(ctx, input):
        if where == "later":
            yield ctx.create_timer(second(1))
        yield wrong

    said = result(wf)
    assert said.startswith("TypeError: ")
    assert f"tasks of its ctx, not {type(wrong).__name__}" in said
    assert "ctx.create_timer" in said
    assert "wf.when_all" in said


def test_the_type_error_can_be_caught_and_the_orchestrator_goes_on():
    def wf(ctx, input):
        caught = 0
        for wrong in (None, 1):
            try:
                yield wrong
            except TypeError:
                caught += 1
        return [caught, (yield ctx.call_activity("a", input=5))]

    assert result(wf) == "[2,5]"


def test_yielding_a_coroutine_of_asyncio_is_a_type_error():
    made = []

    def wf(ctx, input):
        made.append(asyncio.sleep(1))
        yield made[-1]

    said = result(wf)
    made[-1].close()
    assert said.startswith("TypeError: ")
    assert "tasks of its ctx, not coroutine" in said


async def _sleeps(ctx, input):
    await asyncio.sleep(1)


async def _sleeps_not(ctx, input):
    await asyncio.sleep(0)


async def _foreign(ctx, input):
    await _Awaitable()


async def _own_future(ctx, input):
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("wf", [_sleeps, _sleeps_not, _foreign, _own_future], ids=lambda fn: fn.__name__)
def test_a_foreign_awaitable_fails_at_once_and_says_what_to_use(wf: Callable[..., Any]):
    said = result(wf)
    assert said.startswith("TypeError: ")
    assert "ctx.create_timer" in said
    assert "wf.when_all" in said


def test_an_async_orchestrator_asks_the_same_as_a_generator():
    def as_generator(ctx, input):
        a = yield ctx.call_activity("a", input=input)
        try:
            yield ctx.call_activity("bad", input=a)
        except Exception as error:
            ctx.set_custom_status(str(error))
        winner = yield when_any([ctx.wait_for_external_event("e", timeout=second(5)), ctx.create_timer(second(2))])
        both = yield when_all([ctx.call_child_workflow("kid", input=1), winner])
        return [a, both, str(ctx.uuid4()), str(ctx.current_utc_datetime)]

    async def as_coroutine(ctx, input):
        a = await ctx.call_activity("a", input=input)
        try:
            await ctx.call_activity("bad", input=a)
        except Exception as error:
            ctx.set_custom_status(str(error))
        winner = await when_any([ctx.wait_for_external_event("e", timeout=second(5)), ctx.create_timer(second(2))])
        both = await when_all([ctx.call_child_workflow("kid", input=1), winner])
        return [a, both, str(ctx.uuid4()), str(ctx.current_utc_datetime)]

    def kid(ctx, input):
        return input + (yield ctx.call_activity("c", input=input))

    histories = []
    for orchestrator in (as_generator, as_coroutine):
        app = App()
        app.add_workflow(orchestrator, name="wf")
        app.add_workflow(kid)
        engine = Engine(app, oracle=failing, seed=3)
        engine.start("x", "wf", "5")
        engine.run()
        histories.append(engine.history)
        assert engine.instance("x").status == "COMPLETED"
    assert histories[0] == histories[1]


def test_an_orchestrator_may_return_without_waiting_for_anything():
    def plain(ctx, input):
        return ["plain", input]

    async def coroutine(ctx):
        return "coroutine"

    assert result(plain) == '["plain",null]'
    assert result(coroutine) == '"coroutine"'


def test_sub_generators_and_awaited_helpers_are_driven_like_the_orchestrator_itself():
    def helper(ctx):
        return (yield ctx.call_activity("a", input=1)) + 1

    def wf(ctx, input):
        return (yield from helper(ctx)) + 1

    async def async_helper(ctx):
        return (await ctx.call_activity("a", input=1)) + 1

    async def async_wf(ctx, input):
        return (await async_helper(ctx)) + 1

    assert result(wf) == result(async_wf) == "3"
    assert inspect.iscoroutinefunction(async_wf)
