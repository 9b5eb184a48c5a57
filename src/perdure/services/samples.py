"""What the roles count, as Prometheus reads it. The one catalogue of these names (docs/services.md shows it).

Counters end in `_total`; everything else is a level. Units stand last in names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["CATALOGUE", "CONTENT_TYPE", "Sample", "exposition", "of_stats"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

CATALOGUE: Final[Mapping[str, str]] = {
    "perdure_ready": "1 while the service is ready, else 0",
    "perdure_partitions": "Partitions that this process serves",
    "perdure_lag_records": "Records behind the end of the topic that the role reads, by partition",
    "perdure_turns_total": "Turns decided",
    "perdure_events_total": "Events written to histories",
    "perdure_commits_total": "Transactions committed",
    "perdure_commits_failed_total": "Transactions that failed or whose outcome was unknown",
    "perdure_loads_total": "Instances loaded from the store",
    "perdure_evictions_total": "Instances evicted from memory",
    "perdure_stalled_total": "Instances parked as STALLED",
    "perdure_dead_letters_total": "Records moved to the dead-letter topic",
    "perdure_forwarded_total": "Commands passed on to the partition that owns their instance",
    "perdure_takeovers_total": "Partitions taken over",
    "perdure_store_failures_total": "Writes that the history store refused or did not answer",
    "perdure_rejections_total": "Commands rejected, by reason",
    "perdure_store_lag_records": "History records committed but not stored yet, by partition",
    "perdure_activities_in_flight": "Activities taken whose result is not in the log yet",
    "perdure_activities_overrun": "Activities past their time-out that still hold a thread",
    "perdure_activities_completed_total": "Activities completed",
    "perdure_activities_failed_total": "Activities failed",
    "perdure_activities_timed_out_total": "Activities timed out",
    "perdure_activities_refused_total": "Tasks passed on because their activity is not registered here",
    "perdure_activities_redelivered_total": "Tasks delivered again",
    "perdure_timers_pending_near": "Timers held in memory",
    "perdure_timers_set_total": "Timers set",
    "perdure_timers_cancelled_total": "Timers cancelled",
    "perdure_timers_far_puts_total": "Far timers written to the store",
    "perdure_timers_far_removes_total": "Far timers removed from the store",
    "perdure_timers_fired_total": "Timers fired",
    "perdure_timers_lateness_seconds_total": "Sum of fired_at - fire_at of all fired timers",
    "perdure_timers_lateness_seconds_max": "The largest fired_at - fire_at since the start",
}
"""Name to what it means."""


@dataclass(slots=True, frozen=True)
class Sample:
    name: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


def of_stats(stats: Any, prefix: str = "perdure_") -> list[Sample]:
    """A role's Stats object: a number is one sample, a Counter one for each of its keys (label `reason`)."""
    samples = []
    for field in dataclasses.fields(stats):
        value = getattr(stats, field.name)
        if isinstance(value, Mapping):
            name = _name(prefix, field.name)
            samples += [Sample(name, count, (("reason", str(key)),)) for key, count in sorted(value.items())]
        elif field.name.endswith(("_us_sum", "_us_max")):
            base, unit, kind = field.name.rsplit("_", 2)
            del unit
            samples.append(Sample(f"{prefix}{base}_seconds_{'total' if kind == 'sum' else kind}", value / 1e6))
        else:
            samples.append(Sample(_name(prefix, field.name), value))
    return samples


def exposition(samples: Iterable[Sample]) -> str:
    """Prometheus' text format: samples of one name together, below what it means and its type."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines: list[str] = []
    for name, group in by_name.items():
        lines.append(f"# HELP {name} {CATALOGUE[name]}")
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        for sample in group:
            labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels)
            lines.append(f"{name}{{{labels}}} {sample.value:.15g}" if labels else f"{name} {sample.value:.15g}")
    return "\n".join([*lines, ""])


def _name(prefix: str, field: str) -> str:
    """Dead letters are one thing, whoever writes them."""
    if field == "dead_letters":
        return "perdure_dead_letters_total"
    level = f"{prefix}{field}"
    return level if level in CATALOGUE else f"{level}_total"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
