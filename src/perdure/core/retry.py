"""When a failed attempt is tried again."""

from __future__ import annotations

from perdure.core.events import RetrySpec

__all__ = ["next_attempt_at"]


def next_attempt_at(
    retry: RetrySpec | None, attempt: int, error_type: str, retryable: bool, first_at_us: int, now_us: int
) -> int:
    """Time of attempt + 1, or 0 if there is none.

    The pause is first_interval · backoff^(attempt-1), at most max_interval. retry_timeout bounds the time from the
    first attempt's scheduling to the next one's start (Dapr: compared with the logical next start).
    """
    if retry is None or not retryable or attempt >= retry.max_attempts or error_type in retry.non_retryable:
        return 0
    try:
        pause = 0 if not retry.first_interval_us else int(retry.first_interval_us * retry.backoff ** (attempt - 1))
    except OverflowError:
        pause = 1 << 60
    if retry.max_interval_us:
        pause = min(pause, retry.max_interval_us)
    at = now_us + min(pause, 1 << 60)
    if retry.timeout_us and at - first_at_us > retry.timeout_us:
        return 0
    return at
