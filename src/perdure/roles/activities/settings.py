"""What an activity worker can be told, and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from perdure.telemetry.metrics import Histogram

__all__ = ["ActivitySettings", "ActivityStats"]


@dataclass(slots=True, frozen=True)
class ActivitySettings:
    """Durations are seconds."""

    in_flight_max: int = 200  # tasks taken whose result is not in the log yet
    unregistered_window_s: float = 30.0  # how long other workers are tried for a name nobody knows here; 0: not at all
    unregistered_pause_s: float = 0.5  # before such a task is passed on
    lease_after_s: float = 30.0  # a task running longer holds the partition's position no more
    lease_s: float = 60.0  # a sign of life is good for this long
    lease_renew_s: float = 20.0
    drain_timeout_s: float = 20.0  # for `stop`
    backoff_s: float = 0.05  # first pause after a failed write; doubles up to backoff_max_s
    backoff_max_s: float = 5.0
    tidy_s: float = 2.0  # between deletions of consumed records


@dataclass(slots=True)
class ActivityStats:
    """Counts since the start; `in_flight` and `overrun` are levels."""

    in_flight: int = 0
    overrun: int = 0  # activities past their time-out that still hold a slot
    completed: int = 0
    failed: int = 0
    timed_out: int = 0
    refused: int = 0  # passed on: their activity is not registered here
    redelivered: int = 0
    dead_letters: int = 0
    queue_seconds: Histogram = field(default_factory=Histogram)  # from the task's being in the log to its begin
    duration_seconds: Histogram = field(default_factory=Histogram)
