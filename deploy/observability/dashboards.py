"""Grafana's dashboards: an overview for whoever is woken at night, and one for each service with all that it tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from deploy.observability.queries import Query, queries_of, rate_of, unit_of
from perdure.telemetry.metrics import CATALOGUE, Metric

__all__ = ["OVERVIEW", "dashboards"]

Panel = dict[str, Any]

SCHEMA_VERSION: Final = 39  # of Grafana 11
COLUMNS: Final = 24
PANEL: Final = (12, 8)  # width and height, in Grafana's grid
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}

ROWS: Final = (
    ("Is it there", ("perdure_ready", "perdure_partitions", "perdure_group_members")),
    ("Is it behind", ("perdure_lag_records", "perdure_group_lag_records", "perdure_store_lag_bytes", "perdure_store_lag_memory_bytes", "perdure_activities_queue_seconds", "perdure_timers_lateness_seconds")),
    ("What it does", ("perdure_turns_total", "perdure_activities_completed_total", "perdure_timers_fired_total", "perdure_commit_seconds")),
    ("What somebody should look at", (
        "perdure_dead_letters_total", "perdure_rejections_total", "perdure_stalled_total", "perdure_commits_failed_total",
        "perdure_store_failures_total", "perdure_activities_failed_total", "perdure_activities_overrun", "perdure_restarts_total",
    )),
)  # fmt: skip
"""The overview: from top to bottom in the order in which one asks."""

OVERVIEW: Final = tuple(name for _, names in ROWS for name in names)


def dashboards() -> dict[str, dict[str, Any]]:
    """By file name. Every metric of the catalogue is on the dashboard of each service that shows it."""
    found = {"overview.json": _dashboard("overview", "Perdure", _overview())}
    for role in sorted({role for metric in CATALOGUE.values() for role in metric.roles}):
        shown = [metric for metric in CATALOGUE.values() if role in metric.roles]
        found[f"{role}.json"] = _dashboard(role, f"Perdure: {role}", _placed(_panel(metric) for metric in shown))
    return found


def _overview() -> list[Panel]:
    panels: list[Panel] = []
    below = 0
    for title, names in ROWS:
        panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": _place(0, below, COLUMNS, 1)})
        inside = _placed([_panel(CATALOGUE[name]) for name in names], below + 1)
        panels += inside
        below = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in inside)
    return panels


def _panel(metric: Metric) -> Panel:
    title = metric.meaning.partition(";")[0] if len(metric.meaning) < 70 else metric.name
    suffix = ", a second" if metric.kind == "counter" else ""
    return {
        "type": "timeseries",
        "title": f"{title}{suffix}",
        "description": f"{metric.name} ({metric.unit}): {metric.meaning}.",
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit_of(metric), "min": 0, "custom": {"fillOpacity": 10}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [_target(index, query) for index, query in enumerate(_queries(metric))],
    }  # fmt: skip


def _queries(metric: Metric) -> list[Query]:
    if metric.kind == "counter" and not metric.labels:  # beside the processes, all together
        return [*queries_of(metric), Query(f"sum ({rate_of(metric)})", "all")]
    return queries_of(metric)


def _target(index: int, query: Query) -> dict[str, Any]:
    return {
        "refId": "ABCDEFGH"[index], "expr": query.expression, "legendFormat": query.legend, "range": True,
        "datasource": SOURCE,
    }  # fmt: skip


def _placed(panels: Iterable[Panel], top: int = 0) -> list[Panel]:
    """Two in a row."""
    width, height = PANEL
    per_row = COLUMNS // width
    return [
        panel | {"gridPos": _place(index % per_row * width, top + index // per_row * height, width, height)}
        for index, panel in enumerate(panels)
    ]


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _dashboard(name: str, title: str, panels: Sequence[Panel]) -> dict[str, Any]:
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus", "hide": 0}
    return {
        "uid": f"perdure-{name}",
        "title": title,
        "tags": ["perdure"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source]},
        "links": [{"type": "dashboards", "tags": ["perdure"], "title": "Perdure", "asDropdown": True}],
        "panels": [panel | {"id": number} for number, panel in enumerate(panels, start=1)],
    }
