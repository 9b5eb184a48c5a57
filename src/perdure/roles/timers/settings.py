"""What the timer role can be told, and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from perdure.telemetry.metrics import Histogram

__all__ = ["TimerSettings", "TimerStats"]


@dataclass(slots=True, frozen=True)
class TimerSettings:
    """Durations are seconds. `slice_s` is part of the stored form: changing it orphans what is stored."""

    epoch: int = 0  # of the topics; raised when they are recreated
    near_s: float = 60.0  # due sooner: no row in the store
    slice_s: int = 300
    flush_s: float = 1.0  # far timers wait this long for their cancellation before they cost a row
    recheck_s: float = 2.0  # the wall clock is looked at this often while timers wait: it may have been set
    commit_s: float = 1.0
    tidy_s: float = 5.0  # between deletions of consumed records
    unstored_max: int = 50_000  # far timers waiting for the store before reading pauses
    stop_timeout_s: float = 2.0  # for what is being sent when a shard is taken away
    backoff_s: float = 0.05
    backoff_max_s: float = 5.0


@dataclass(slots=True)
class TimerStats:
    """Counts since the start; `pending_near` is a level. Lateness is fired_at − fire_at."""

    pending_near: int = 0
    set: int = 0
    cancelled: int = 0
    far_puts: int = 0
    far_removes: int = 0
    fired: int = 0
    lateness_seconds: Histogram = field(default_factory=Histogram)
    dead_letters: int = 0
