"""Alert rules for Prometheus: each with what it means and the page that says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from perdure.roles.orchestrator.settings import OrchestratorSettings

__all__ = ["ALERTS", "Alert", "rules"]

STORE_LAG_BYTES: Final = OrchestratorSettings().store_lag_bytes_max
STORE_LAG_PROCESS_BYTES: Final = OrchestratorSettings().store_lag_process_bytes_max


@dataclass(slots=True, frozen=True)
class Alert:
    """`severity`: page (somebody has to act now) or ticket (somebody has to look at it). `page`: in docs/operations/."""

    name: str
    expression: str
    lasting: str
    severity: str
    summary: str
    page: str


def _p99(name: str) -> str:
    return f"histogram_quantile(0.99, sum by (le) (rate({name}_bucket[10m])))"


def _missing(service: str) -> Alert:
    name = f"Perdure{service.title().replace('-', '')}Missing"
    return Alert(
        name, f'absent(perdure_ready{{service="{service}"}} == 1)', "3m", "page",
        f"No {service} is ready: what it does stands still, nothing is lost", "service-missing.md",
    )  # fmt: skip


ALERTS: Final = (
    _missing("orchestrator"),
    _missing("timer"),
    _missing("gateway"),
    # What is asked of those who are missing nobody answers: orchestrators tell who is there.
    Alert("PerdureWorkersMissing", "max by (group) (perdure_group_lag_records) > 0 "
          "and on (group) max by (group) (perdure_group_members) == 0", "5m", "page",
          "{{ $labels.group }} has no worker, and tasks wait in its queue", "service-missing.md"),
    Alert("PerdureSubscriberMissing", 'max by (group) (perdure_group_members{group=~".+[.]subscription[.].+"}) == 0',
          "5m", "page", "Nobody reads for {{ $labels.group }}: its messages wait in their topic", "service-missing.md"),
    Alert("PerdureNotReady", "min by (service, instance) (perdure_ready) == 0", "5m", "ticket",
          "{{ $labels.service }} {{ $labels.instance }} has not been ready for five minutes: its /readyz says why", "service-missing.md"),
    Alert("PerdurePartitionStands", 'min_over_time(perdure_lag_records{topic=~".+[.]instances"}[10m]) > 100 '
          "and delta(perdure_lag_records[10m]) >= 0", "5m", "page",
          "Partition {{ $labels.partition }} of {{ $labels.topic }} falls behind and does not catch up", "stuck-partition.md"),
    Alert("PerdureActivitiesWait", f"{_p99('perdure_activities_queue_seconds')} > 60", "10m", "ticket",
          "Activities wait more than a minute for a worker: there are too few, or they hang", "sizing.md"),
    Alert("PerdureTimersLate", f"{_p99('perdure_timers_lateness_seconds')} > 5", "10m", "ticket",
          "Timers fire more than five seconds late", "stuck-partition.md"),
    Alert("PerdureStoreFarBehind", f"max by (partition) (perdure_store_lag_bytes) > {STORE_LAG_BYTES // 2}", "2m", "page",
          "Partition {{ $labels.partition }} has more than half of what may wait for Cassandra: at the whole it stops reading", "store-down.md"),
    Alert("PerdureStoreFillsMemory", f"sum by (instance) (perdure_store_lag_memory_bytes) > {STORE_LAG_PROCESS_BYTES // 2}", "2m", "page",
          "{{ $labels.instance }} has more than half of what a process may hold for Cassandra: near the whole it stops reading", "store-down.md"),
    Alert("PerdureStoreRefuses", "sum (rate(perdure_store_failures_total[10m])) > 0", "10m", "ticket",
          "Cassandra has refused writes, or not answered, for ten minutes", "store-down.md"),
    Alert("PerdureCommitsFail", "sum (rate(perdure_commits_failed_total[10m])) > 0.1", "10m", "page",
          "Kafka has refused transactions for ten minutes", "lost-broker.md"),
    Alert("PerdureCommitsSlow", f"{_p99('perdure_commit_seconds')} > 1", "15m", "ticket",
          "One in a hundred commits takes more than a second", "lost-broker.md"),
    Alert("PerdureRoleBeginsAgain", "sum by (instance) (increase(perdure_restarts_total[15m])) > 1", "0m", "ticket",
          "{{ $labels.instance }} opened its connections anew more than once in a quarter of an hour", "lost-broker.md"),
    Alert("PerdureDeadLetters", "sum (increase(perdure_dead_letters_total[15m])) > 0", "0m", "ticket",
          "Records became dead letters: `perdure dead-letters list` tells which and why", "dead-letters.md"),
    Alert("PerdureInstancesStalled", "sum (increase(perdure_stalled_total[15m])) > 0", "0m", "ticket",
          "Instances were parked as STALLED: their code and their history do not fit", "stalled.md"),
    Alert("PerdureActivitiesOverrun", "sum by (instance) (perdure_activities_overrun) > 0", "15m", "ticket",
          "{{ $labels.instance }} has activities past their time-out that still hold a thread", "stalled.md"),
    Alert("PerdureTasksRefused", "sum (increase(perdure_activities_refused_total[15m])) > 0", "15m", "ticket",
          "Tasks are passed on because no worker has their activity: it is not deployed on this queue", "stalled.md"),
)  # fmt: skip


def rules() -> dict[str, Any]:
    """As Prometheus reads them."""
    return {"groups": [{"name": "perdure", "rules": [_rule(each) for each in ALERTS]}]}


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.lasting,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook": f"docs/operations/{alert.page}"},
    }
