"""`RetryPolicy`: how often, and with what pauses, a failed activity or child workflow is tried again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta

from perdure.core.events import RetrySpec

__all__ = ["RetryPolicy"]

_MICROSECOND = timedelta(microseconds=1)


class RetryPolicy:
    """A retry policy; the pauses between attempts are durable timers.

    `first_retry_interval` (or `initial_retry_interval`, the same by its other name) is the pause before the
    second attempt; each later one is the earlier one times `backoff_coefficient`, at most
    `max_retry_interval`. There are at most `max_number_of_attempts` in all, the first included, and none
    whose start would come later than `retry_timeout` after the first. An error whose class is named in
    `non_retryable_error_types` (classes or their names; subclasses are not meant, since only the name
    travels), and NonRetryableError, end it at once.

    Raises ValueError for an interval below zero, attempts below 1, a coefficient below 1, no first interval,
    or two different ones; TypeError for a value of the wrong type.
    """

    __slots__ = (
        "backoff_coefficient",
        "first_retry_interval",
        "max_number_of_attempts",
        "max_retry_interval",
        "non_retryable_error_types",
        "retry_timeout",
    )

    def __init__(
        self,
        *,
        first_retry_interval: timedelta | None = None,
        initial_retry_interval: timedelta | None = None,
        max_number_of_attempts: int,
        backoff_coefficient: float | None = 1.0,
        max_retry_interval: timedelta | None = None,
        retry_timeout: timedelta | None = None,
        non_retryable_error_types: Iterable[type[BaseException] | str] | None = None,
    ) -> None:
        first = _interval("first_retry_interval", first_retry_interval)
        initial = _interval("initial_retry_interval", initial_retry_interval)
        if first is not None and initial is not None and first != initial:
            raise ValueError("first_retry_interval and initial_retry_interval are one thing: give one of them")
        first = initial if first is None else first
        if first is None:
            raise ValueError("a retry policy needs first_retry_interval, the pause before the second attempt")
        self.first_retry_interval: timedelta = first
        self.max_number_of_attempts = _attempts(max_number_of_attempts)
        self.backoff_coefficient = _coefficient(1.0 if backoff_coefficient is None else backoff_coefficient)
        self.max_retry_interval = _interval("max_retry_interval", max_retry_interval)
        self.retry_timeout = _interval("retry_timeout", retry_timeout)
        self.non_retryable_error_types = _names(non_retryable_error_types)

    @property
    def initial_retry_interval(self) -> timedelta:
        return self.first_retry_interval

    def to_spec(self) -> RetrySpec:
        """The policy as history records it, in microseconds."""
        return RetrySpec(
            first_interval_us=self.first_retry_interval // _MICROSECOND,
            max_attempts=self.max_number_of_attempts,
            backoff=self.backoff_coefficient,
            max_interval_us=_bound_us(self.max_retry_interval),
            timeout_us=_bound_us(self.retry_timeout),
            non_retryable=list(self.non_retryable_error_types),
        )

    def __repr__(self) -> str:
        return "RetryPolicy(" + ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__) + ")"


INTERVAL_MAX = timedelta(days=365_000)  # a thousand years: any sum with a time still fits a record


def _interval(name: str, value: timedelta | None) -> timedelta | None:
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} is a timedelta, not {value!r}")
    if value < timedelta(0):
        raise ValueError(f"{name} is zero or longer, not {value!r}")
    if value > INTERVAL_MAX:
        raise ValueError(f"{name} is at most {INTERVAL_MAX.days:,} days, not {value!r}")
    return value


def _attempts(value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"max_number_of_attempts is an int, not {value!r}")
    if not 1 <= value < 2**31:
        raise ValueError(f"max_number_of_attempts is 1 or more (the first attempt counts), not {value}")
    return value


def _coefficient(value: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"backoff_coefficient is a number, not {value!r}")
    if not (value >= 1 and math.isfinite(value)):
        raise ValueError(f"backoff_coefficient is 1 or more, not {value}")
    return float(value)


def _names(types: Iterable[type[BaseException] | str] | None) -> tuple[str, ...]:
    if types is None:
        return ()
    if isinstance(types, str | type):
        raise TypeError(f"non_retryable_error_types is a list of error classes or their names, not {types!r} alone")
    names: dict[str, None] = {}
    for kind in types:
        if isinstance(kind, type) and issubclass(kind, BaseException):
            names[kind.__name__] = None
        elif isinstance(kind, str) and kind:
            names[kind.rpartition(".")[2]] = None  # failures carry the class's bare name
        else:
            raise TypeError(f"non_retryable_error_types holds error classes or their names, not {kind!r}")
    return tuple(names)


def _bound_us(value: timedelta | None) -> int:
    """0 in the record means no bound; a bound of zero is a microsecond there, which comes to the same."""
    return 0 if value is None else max(value // _MICROSECOND, 1)
