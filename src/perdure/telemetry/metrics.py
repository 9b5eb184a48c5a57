"""The catalogue of metrics: every name, its kind, unit, labels and meaning; and what roles count into.

**Law.** Nothing is shown that is not here, and everything here is shown: code, docs/services.md's table and dashboards
are held to it by tests. Counting costs the path that counts an addition or a search among a dozen bounds; names, labels
and text are made only when somebody asks.

Counters end in `_total`; units stand last in names otherwise. Seconds and counts only.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["CATALOGUE", "SECONDS", "Histogram", "Metric"]

Kind = Literal["counter", "gauge", "histogram"]

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of a histogram's buckets: from a commit on an idle broker to an activity that has its lease renewed."""


@dataclass(slots=True)
class Histogram:
    """How often a duration fell between which bounds. `counts` has one place more than SECONDS: beyond the last."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    sum_s: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.sum_s += seconds


@dataclass(slots=True, frozen=True)
class Metric:
    """`roles`: the services that show it, by name."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    roles: tuple[str, ...]
    labels: tuple[str, ...] = ()


_OWNER: Final = ("orchestrator",)
_WORKER: Final = ("activity-worker",)
_TIMER: Final = ("timer",)
_SUBSCRIBER: Final = ("subscriber",)
_READERS: Final = ("orchestrator", "activity-worker", "timer", "gateway", "subscriber")
_LETTERS: Final = ("orchestrator", "activity-worker", "timer", "subscriber")

_ALL: Final = (
    Metric("perdure_ready", "gauge", "1 or 0", "1 while the service is ready, else 0", _READERS, ("service",)),
    Metric("perdure_restarts_total", "counter", "restarts",
           "Times the watchdog opened this process's connections anew and began its role again", _READERS),
    Metric("perdure_partitions", "gauge", "partitions", "Partitions that this process serves", _LETTERS),
    Metric("perdure_lag_records", "gauge", "records",
           "Records behind the end of the topic that the role reads, by partition", _READERS, ("topic", "partition")),
    Metric("perdure_group_lag_records", "gauge", "records",
           "Records between what the workers of a task queue have stored and its end, whether or not there are any",
           _OWNER, ("group",)),
    Metric("perdure_group_members", "gauge", "processes",
           "Processes that read for a task queue or a subscription, 0 where nobody does", _OWNER, ("group",)),
    Metric("perdure_turns_total", "counter", "turns", "Turns decided", _OWNER),
    Metric("perdure_events_total", "counter", "events", "Events written to histories", _OWNER),
    Metric("perdure_commits_total", "counter", "transactions", "Transactions committed", _OWNER),
    Metric("perdure_commit_seconds", "histogram", "seconds",
           "From handing a transaction to the log until it was committed", _OWNER),
    Metric("perdure_commits_failed_total", "counter", "transactions",
           "Transactions that failed or whose outcome was unknown", _OWNER),
    Metric("perdure_loads_total", "counter", "instances", "Instances loaded from the store", _OWNER),
    Metric("perdure_evictions_total", "counter", "instances", "Instances evicted from memory", _OWNER),
    Metric("perdure_stalled_total", "counter", "instances", "Instances parked as STALLED", _OWNER),
    Metric("perdure_dead_letters_total", "counter", "records", "Records moved to the dead-letter topic", _LETTERS),
    Metric("perdure_dead_letters_settled_total", "counter", "records",
           "Dead letters replayed or dropped through this process", ("gateway",), ("state",)),
    Metric("perdure_forwarded_total", "counter", "commands",
           "Commands passed on to the partition that owns their instance", _OWNER),
    Metric("perdure_takeovers_total", "counter", "partitions", "Partitions taken over", _OWNER),
    Metric("perdure_store_failures_total", "counter", "writes",
           "Writes that the history store refused or did not answer", _OWNER),
    Metric("perdure_retention_asked_total", "counter", "commands",
           "Purges of ended instances that a sweep asked for; those of what is gone already are refused", _OWNER),
    Metric("perdure_retention_purged_total", "counter", "instances", "Instances purged for their age", _OWNER),
    Metric("perdure_retention_failures_total", "counter", "sweeps",
           "Looks for what is too old that the store or the log broke off; they are repeated", _OWNER),
    Metric("perdure_retention_offsets_total", "counter", "offsets",
           "Offsets that history and dead letters were let go of for their age", _OWNER),
    Metric("perdure_rejections_total", "counter", "commands", "Commands rejected, by reason", _OWNER, ("reason",)),
    Metric("perdure_store_lag_records", "gauge", "records",
           "History records committed but not stored yet, by partition", _OWNER, ("partition",)),
    Metric("perdure_store_lag_bytes", "gauge", "bytes",
           "Events committed but not stored yet, by partition; at 64 MiB the owner stops reading until the store has "
           "caught up", _OWNER, ("partition",)),
    Metric("perdure_store_lag_memory_bytes", "gauge", "bytes",
           "The same with the instances that they keep in memory, by partition; bounded by 512 MiB over a process", _OWNER,
           ("partition",)),
    Metric("perdure_activities_in_flight", "gauge", "activities",
           "Activities taken whose result is not in the log yet", _WORKER),
    Metric("perdure_activities_overrun", "gauge", "activities",
           "Activities past their time-out that still hold a thread", _WORKER),
    Metric("perdure_activities_completed_total", "counter", "activities", "Activities completed", _WORKER),
    Metric("perdure_activities_failed_total", "counter", "activities", "Activities failed", _WORKER),
    Metric("perdure_activities_timed_out_total", "counter", "activities", "Activities timed out", _WORKER),
    Metric("perdure_activities_refused_total", "counter", "tasks",
           "Tasks passed on because their activity is not registered here", _WORKER),
    Metric("perdure_activities_redelivered_total", "counter", "tasks", "Tasks delivered again", _WORKER),
    Metric("perdure_activities_queue_seconds", "histogram", "seconds",
           "From a task's being in the log until its activity began", _WORKER),
    Metric("perdure_activities_duration_seconds", "histogram", "seconds",
           "From an activity's begin to its end, whatever its outcome", _WORKER),
    Metric("perdure_timers_pending_near", "gauge", "timers", "Timers held in memory", _TIMER),
    Metric("perdure_timers_set_total", "counter", "timers", "Timers set", _TIMER),
    Metric("perdure_timers_cancelled_total", "counter", "timers", "Timers cancelled", _TIMER),
    Metric("perdure_timers_far_puts_total", "counter", "timers", "Far timers written to the store", _TIMER),
    Metric("perdure_timers_far_removes_total", "counter", "timers", "Far timers removed from the store", _TIMER),
    Metric("perdure_timers_fired_total", "counter", "timers", "Timers fired", _TIMER),
    Metric("perdure_timers_lateness_seconds", "histogram", "seconds",
           "fired_at - fire_at, to the acknowledgement by the log", _TIMER),
    Metric("perdure_subscriptions_started_total", "counter", "messages",
           "Messages that became starts, by subscription", _SUBSCRIBER, ("subscription",)),
    Metric("perdure_subscriptions_raised_total", "counter", "messages",
           "Messages that became events, by subscription", _SUBSCRIBER, ("subscription",)),
    Metric("perdure_subscriptions_passed_over_total", "counter", "messages",
           "Messages that a subscription's `when` did not want, by subscription", _SUBSCRIBER, ("subscription",)),
    Metric("perdure_subscriptions_missed_total", "counter", "messages",
           "Messages that were deleted from their topic before they were read", _SUBSCRIBER),
    Metric("perdure_subscriptions_commits_total", "counter", "transactions", "Transactions committed", _SUBSCRIBER),
    Metric("perdure_subscriptions_commits_failed_total", "counter", "transactions",
           "Transactions that failed or whose outcome was unknown", _SUBSCRIBER),
)  # fmt: skip

CATALOGUE: Final[dict[str, Metric]] = {each.name: each for each in _ALL}
"""By name."""
