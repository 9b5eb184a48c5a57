from datetime import timedelta

import pytest

from perdure.core.events import RetrySpec
from perdure.workflow.retry import RetryPolicy

SECOND = timedelta(seconds=1)


def test_both_spellings_of_the_first_interval_mean_the_same():
    for policy in (
        RetryPolicy(first_retry_interval=SECOND, max_number_of_attempts=3),
        RetryPolicy(initial_retry_interval=SECOND, max_number_of_attempts=3),
        RetryPolicy(first_retry_interval=SECOND, initial_retry_interval=SECOND, max_number_of_attempts=3),
    ):
        assert policy.first_retry_interval == policy.initial_retry_interval == SECOND
        assert policy.to_spec() == RetrySpec(first_interval_us=1_000_000, max_attempts=3)


def test_a_full_policy_is_recorded_in_microseconds():
    policy = RetryPolicy(
        first_retry_interval=timedelta(0),
        max_number_of_attempts=1,
        backoff_coefficient=2,
        max_retry_interval=30 * SECOND,
        retry_timeout=timedelta(hours=1),
        non_retryable_error_types=[ValueError, "CardDeclined", "shop.errors.OutOfStock", "ValueError"],
    )
    assert policy.to_spec() == RetrySpec(
        first_interval_us=0,
        max_attempts=1,
        backoff=2.0,
        max_interval_us=30_000_000,
        timeout_us=3_600_000_000,
        non_retryable=["ValueError", "CardDeclined", "OutOfStock"],
    )
    assert "max_number_of_attempts=1" in repr(policy)


def test_a_bound_of_zero_stays_a_bound():
    policy = RetryPolicy(
        first_retry_interval=SECOND,
        max_number_of_attempts=2,
        max_retry_interval=timedelta(0),
        retry_timeout=timedelta(0),
    )
    assert (policy.to_spec().max_interval_us, policy.to_spec().timeout_us) == (1, 1)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"first_retry_interval": -SECOND}, ValueError),
        ({"initial_retry_interval": 2 * SECOND}, ValueError),
        ({"first_retry_interval": None}, ValueError),
        ({"max_number_of_attempts": 0}, ValueError),
        ({"backoff_coefficient": 0.5}, ValueError),
        ({"backoff_coefficient": float("nan")}, ValueError),
        ({"backoff_coefficient": float("inf")}, ValueError),
        ({"max_retry_interval": -SECOND}, ValueError),
        ({"retry_timeout": -SECOND}, ValueError),
        ({"first_retry_interval": 1}, TypeError),
        ({"max_number_of_attempts": 2.5}, TypeError),
        ({"max_number_of_attempts": True}, TypeError),
        ({"backoff_coefficient": "2"}, TypeError),
        ({"non_retryable_error_types": ValueError}, TypeError),
        ({"non_retryable_error_types": "ValueError"}, TypeError),
        ({"non_retryable_error_types": [int]}, TypeError),
        ({"non_retryable_error_types": [""]}, TypeError),
    ],
)
def test_a_bad_policy_is_refused(changed, error):
    with pytest.raises(error):
        RetryPolicy(**{"first_retry_interval": SECOND, "max_number_of_attempts": 3, **changed})
