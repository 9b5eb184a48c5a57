"""When a failed attempt is tried again: the arithmetic, and the attempts as they appear in history."""

from __future__ import annotations

import pytest

from perdure.core.commands import CompleteActivity, FailActivity, FireTimer, StartWorkflow, TerminateWorkflow
from perdure.core.effects import ActivityTask, SetTimer
from perdure.core.events import RetrySpec
from perdure.core.retry import next_attempt_at
from perdure.workflow.retry import RetryPolicy
from tests.core.engine import SECOND, T0, Engine, kinds, one, second


def after(
    spec: RetrySpec | None, attempt: int = 1, error: str = "E", retryable: bool = True, first: int = 0, now: int = 0
) -> int:
    return next_attempt_at(spec, attempt, error, retryable, first, now)


@pytest.mark.parametrize(
    ("spec", "attempt", "pause"),
    [
        (RetrySpec(10, 5), 1, 10),
        (RetrySpec(10, 5), 4, 10),
        (RetrySpec(10, 5, 2.0), 1, 10),
        (RetrySpec(10, 5, 2.0), 2, 20),
        (RetrySpec(10, 5, 2.0), 3, 40),
        (RetrySpec(10, 5, 1.5), 3, 22),
        (RetrySpec(10, 5, 2.0, 25), 2, 20),
        (RetrySpec(10, 5, 2.0, 25), 3, 25),
        (RetrySpec(10, 5, 1.0, 4), 1, 4),
        (RetrySpec(0, 5), 1, 0),
        (RetrySpec(0, 5000, 2.0), 3000, 0),
        (RetrySpec(10, 5000, 2.0, 99), 3000, 99),
        (RetrySpec(10, 5000, 2.0), 3000, 1 << 60),
        (RetrySpec(1 << 62, 9, 1e300), 3, 1 << 60),
        (RetrySpec(1 << 62, 9), 1, 1 << 60),
    ],
)
def test_the_pause_grows_by_the_coefficient_up_to_its_bounds(spec: RetrySpec, attempt: int, pause: int):
    assert after(spec, attempt, now=1000) == 1000 + pause
    assert after(spec, attempt, now=T0) < 2**63


@pytest.mark.parametrize(
    ("spec", "attempt", "error", "retryable"),
    [
        (None, 1, "E", True),
        (RetrySpec(10, 1), 1, "E", True),
        (RetrySpec(10, 3), 3, "E", True),
        (RetrySpec(10, 3), 1, "E", False),
        (RetrySpec(10, 3, non_retryable=["E", "F"]), 1, "F", True),
    ],
)
def test_some_failures_are_final(spec: RetrySpec | None, attempt: int, error: str, retryable: bool):
    assert after(spec, attempt, error, retryable, now=1000) == 0


def test_the_retry_timeout_bounds_the_next_start_counted_from_the_first():
    spec = RetrySpec(10, 9, timeout_us=100)
    assert after(spec, first=1000, now=1090) == 1100
    assert after(spec, first=1000, now=1091) == 0


POLICY = RetryPolicy(
    first_retry_interval=second(1), max_number_of_attempts=3, backoff_coefficient=2,
    non_retryable_error_types=[KeyError],
)  # fmt: skip


def works(ctx, input):
    try:
        return (yield ctx.call_activity("work", input=input, retry_policy=POLICY))
    except Exception as error:
        return [type(error).__name__, error.details.error_type, error.details.message, str(error)]


def calls(ctx, input):
    return (yield ctx.call_child_workflow("fails", instance_id="kid", retry_policy=POLICY))


def fails(ctx, input):
    yield ctx.create_timer(second(1))
    raise ValueError("no")


def started() -> Engine:
    engine = one(works, calls, fails)
    engine.start("x", "works", "5")
    return engine


def test_each_attempt_is_recorded_and_dispatched_after_its_pause():
    engine = started()
    (failed,) = engine.fail("x", 1)
    assert (failed.attempt, failed.retry_at_us) == (1, T0 + SECOND)
    assert engine.sent("x", SetTimer) == [SetTimer("0.0.1", 0, 1, 1, "retry", T0 + SECOND)]
    (retried,) = engine.fire("x", "retry")
    assert (retried.attempt, retried.at_us) == (2, T0 + SECOND)
    (failed,) = engine.fail("x", 1, attempt=2)
    assert failed.retry_at_us == T0 + 3 * SECOND
    engine.fire("x", "retry")
    assert [task.attempt for task in engine.sent("x", ActivityTask)] == [1, 2, 3]
    assert {task.input for task in engine.sent("x", ActivityTask)} == {"5"}
    failed, completed = engine.fail("x", 1, attempt=3)
    assert (failed.retry_at_us, failed.attempt) == (0, 3)
    assert completed.output == '["TaskFailedError","ValueError","no","x: Activity task #1 failed: no"]'


def test_attempts_in_between_are_not_told_to_user_code():
    engine = started()
    engine.fail("x", 1)
    engine.fire("x", "retry")
    engine.reload("x")
    assert kinds(engine.complete("x", 1, "7", attempt=2)) == ["ActivityCompleted", "WorkflowCompleted"]


def test_an_error_named_in_the_policy_is_final():
    assert kinds(started().fail("x", 1, error="KeyError")) == ["ActivityFailed", "WorkflowCompleted"]


def test_an_error_that_the_worker_calls_final_is_final():
    assert kinds(started().fail("x", 1, retryable=False)) == ["ActivityFailed", "WorkflowCompleted"]


def test_the_first_result_of_an_open_attempt_wins():
    engine = started()
    engine.complete("x", 1, "7")
    assert engine.fail("x", 1) == []
    engine = started()
    engine.fail("x", 1)
    assert engine.complete("x", 1, "7") == []
    assert engine.reason() == "StaleAttempt"


def test_a_late_result_of_an_earlier_attempt_is_stale():
    engine = started()
    engine.fail("x", 1)
    engine.fire("x", "retry")
    assert engine.tell("x", CompleteActivity("0.0.1", 0, 1, 1, "7")) == []
    assert engine.reason() == "StaleAttempt"


@pytest.mark.parametrize("timeout", [None, second(3)])
def test_a_lease_that_ends_fails_the_attempt_by_name(timeout):
    def leased(ctx, input):
        try:
            yield ctx.call_activity("work", timeout=timeout)
        except Exception as error:
            return [error.details.error_type, error.details.message]

    engine = one(leased)
    engine.start("x", "leased")
    assert engine.sent("x", ActivityTask)[0].timeout_us == (3 * SECOND if timeout else 0)
    lease = FireTimer("0.0.1", 0, 1, 1, "lease", T0 + 9 * SECOND)
    failed, ended = engine.tell("x", lease)
    assert failed.at_us == T0 + 9 * SECOND, "an event is not before the timer it came of"
    assert failed.error_type == ("ActivityTimeout" if timeout else "WorkerLost")
    assert failed.error_type in ended.output
    assert engine.tell("x", lease) == []


def test_a_lease_that_ends_is_retried_and_later_leases_belong_to_their_attempt():
    engine = started()
    lease = FireTimer("0.0.1", 0, 1, 1, "lease", T0 + SECOND)
    (failed,) = engine.tell("x", lease)
    assert failed.retry_at_us == T0 + 2 * SECOND
    engine.fire("x", "retry")
    assert engine.tell("x", lease) == []
    assert engine.reason() == "StaleAttempt"
    assert kinds(engine.tell("x", FireTimer("0.0.1", 0, 1, 2, "lease", T0))) == ["ActivityFailed"]


def test_a_child_is_tried_again_under_the_same_id_in_another_run():
    engine = started()
    engine.start("p", "calls")
    engine.run()
    starts = [command for _, command in engine.sent("p", StartWorkflow)]
    assert [start.parent_attempt for start in starts] == [1, 2, 3]
    assert len({start.command_id for start in starts}) == 3
    assert len({event.run for event in engine.history["kid"]}) == 3
    assert kinds(engine.history["p"])[-6:] == [
        "ChildFailed", "ChildRetried", "ChildFailed", "ChildRetried", "ChildFailed", "WorkflowFailed",
    ]  # fmt: skip
    assert engine.instance("p").error_type == "TaskFailedError"
    assert engine.instance("p").error_message == "p: Child workflow task #1 failed: no"


def test_a_start_of_an_earlier_attempt_that_comes_late_starts_nothing():
    engine = started()
    engine.start("p", "calls")
    engine.run()
    for _, start in engine.sent("p", StartWorkflow):
        assert engine.tell("kid", start) == []


def test_a_terminated_child_is_not_tried_again():
    engine = started()
    engine.start("p", "calls")
    engine.tell(*engine.sent("p", StartWorkflow)[0])
    engine.tell("kid", TerminateWorkflow())
    engine.run()
    assert kinds(engine.history["p"])[-2:] == ["ChildFailed", "WorkflowFailed"]
    assert engine.history["p"][-2].error_type == "WorkflowTerminated"


def test_an_overlong_failure_is_clipped_and_still_matched_by_its_name():
    engine = started()
    (failed,) = engine.tell("x", FailActivity("0.0.1", 0, 1, 1, "E" * 9999, "m" * 99_999, "s" * 99_999))
    assert len(failed.error_type.encode()) <= 300
    assert len(failed.error_message) <= 16_384
    assert len(failed.stack_trace) <= 16_384
    assert "characters cut" in failed.error_message
