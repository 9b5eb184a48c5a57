from dataclasses import dataclass

import pytest

from perdure.core.clipping import clipped
from perdure.core.errors import NonRetryableError, PayloadError, PayloadTooLarge
from perdure.core.limits import FAILURE_TEXT_CHARS_MAX, PAYLOAD_BYTES_MAX
from perdure.workflow.activity import (
    ActivityContext,
    WorkflowActivityContext,
    failure_of,
    is_retryable,
    run_async,
    run_plain,
)
from perdure.workflow.app import App


@dataclass
class Order:
    id: str
    total: float


def context(attempt=1):
    return ActivityContext("order-1", 7, attempt, run="1-0-9", generation=2, workflow_name="checkout")


def test_the_idempotency_key_is_the_same_for_every_attempt():
    assert ActivityContext is WorkflowActivityContext
    assert context(1).idempotency_key == context(3).idempotency_key == "order-1/1-0-9/2/7"
    assert context().workflow_id == "order-1"
    assert context().task_id == 7


def test_a_plain_activity_gets_its_input_rebuilt_and_its_result_encoded():
    def charge(ctx, order: Order) -> Order:
        return Order(order.id + ctx.workflow_id, order.total * 2)

    definition = App().add_activity(charge)
    assert run_plain(definition, context(), '{"id":"o","total":2}') == '{"id":"oorder-1","total":4.0}'


def test_no_input_and_no_result_are_no_payload():
    seen = []

    def quiet(ctx, data: Order):
        seen.append(data)

    def alone(ctx):
        seen.append(ctx)

    app = App()
    assert run_plain(app.add_activity(quiet), context(), "") == ""
    assert run_plain(app.add_activity(alone), context(), '"ignored"') == ""
    assert seen == [None, context()]


async def test_an_async_activity_is_awaited():
    async def charge(ctx, order: dict) -> dict:
        return {"id": order["id"]}

    assert await run_async(App().add_activity(charge), context(), '{"id":1}') == '{"id":1}'


def test_an_input_that_does_not_fit_is_told_with_the_activitys_name_and_never_calls_it():
    def charge(ctx, order: Order):
        raise AssertionError("called")

    with pytest.raises(PayloadError, match=r"the input of activity 'charge'.*total: expected a number") as caught:
        run_plain(App().add_activity(charge), context(), '{"id":"o","total":"x"}')
    assert not is_retryable(caught.value)


def test_a_result_that_cannot_be_kept_is_told_and_not_tried_again():
    def bad(ctx):
        return {1, 2}

    def large(ctx):
        return "x" * PAYLOAD_BYTES_MAX

    app = App()
    with pytest.raises(PayloadError, match="the result of activity 'bad': a set") as caught:
        run_plain(app.add_activity(bad), context(), "")
    assert not is_retryable(caught.value)
    with pytest.raises(PayloadTooLarge, match="the result of activity 'large'") as caught:
        run_plain(app.add_activity(large), context(), "")
    assert not is_retryable(caught.value)


def test_a_coroutine_from_a_plain_activity_is_named():
    async def inner():
        return 1

    with pytest.raises(TypeError, match="async def"):
        run_plain(App().add_activity(lambda ctx: inner(), name="wrapped"), context(), "")


def test_a_failure_tells_class_text_and_the_activitys_own_frames():
    def explode(ctx):
        raise ValueError("no such order")

    with pytest.raises(ValueError, match="no such order") as caught:
        run_plain(App().add_activity(explode), context(), "")
    details = failure_of(caught.value)
    assert (details.error_type, details.message) == ("ValueError", "no such order")
    assert details.stack_trace.startswith("Traceback")
    assert "in explode" in details.stack_trace
    trimmed = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert "run_plain" not in failure_of(trimmed).stack_trace
    assert is_retryable(caught.value)
    assert not is_retryable(NonRetryableError("stop"))


def test_a_failure_can_be_recorded_whatever_its_exception_holds():
    class Rude(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    assert "cannot be made" in failure_of(Rude()).message
    failure_of(ValueError("\ud800")).message.encode()
    long = failure_of(ValueError("x" * 100_000)).message
    assert len(long) <= FAILURE_TEXT_CHARS_MAX
    assert failure_of(SystemExit(3)).error_type == "SystemExit"


def test_a_long_text_keeps_its_beginning_and_its_end():
    text = clipped("a" * 1000 + "b" * 1000, 101)
    assert text.startswith("aaa")
    assert text.endswith("bbb")
    assert "cut" in text
    assert len(text) <= 101
    assert clipped("short", 5) == "short"
