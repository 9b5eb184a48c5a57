"""What the subscription role can be told, and what it tells of itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["SubscriberSettings", "SubscriberStats"]


@dataclass(slots=True, frozen=True)
class SubscriberSettings:
    """Durations are seconds."""

    look_s: float = 1.0  # between looks whether subscriptions have changed
    stop_timeout_s: float = 2.0  # for what is being committed when a partition is taken away
    backoff_s: float = 0.1
    backoff_max_s: float = 5.0


@dataclass(slots=True)
class SubscriberStats:
    """Counts since the start, of what was committed; by subscription where it is a Counter."""

    started: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    commits: int = 0
    commits_failed: int = 0
    dead_letters: int = 0
