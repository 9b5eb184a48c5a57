"""From a metric of the catalogue to what is asked of Prometheus."""

from __future__ import annotations

from dataclasses import dataclass

from perdure.telemetry.metrics import Metric

__all__ = ["Query", "queries_of", "rate_of", "unit_of"]

WINDOW = "$__rate_interval"  # Grafana's own: four scrapes at least

BY_PLACE = frozenset(
    ("topic", "partition", "service", "group")
)  # labels that tell which one; the others tell what kind


@dataclass(slots=True, frozen=True)
class Query:
    """One line, or one for each set of labels. `legend` is Grafana's template."""

    expression: str
    legend: str


def queries_of(metric: Metric) -> list[Query]:
    """A counter by its rate, a gauge as it stands, a histogram by two of its quantiles."""
    if metric.kind == "histogram":
        return [
            Query(f"histogram_quantile({share}, sum by (le) (rate({metric.name}_bucket[{WINDOW}])))", legend)
            for share, legend in ((0.5, "half"), (0.99, "99 of 100"))
        ]
    labels = metric.labels or ("instance",)
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    grouped = ", ".join(labels)
    if metric.kind == "counter":
        return [Query(f"sum by ({grouped}) ({rate_of(metric)})", legend)]
    how = "max" if BY_PLACE.issuperset(metric.labels) and metric.labels else "sum"
    return [Query(f"{how} by ({grouped}) ({metric.name})", legend)]


def rate_of(metric: Metric, window: str = WINDOW) -> str:
    return f"rate({metric.name}[{window}])"


def unit_of(metric: Metric) -> str:
    """Grafana's name of the unit of what is drawn."""
    if metric.kind == "counter":
        return "cps" if metric.unit != "bytes" else "Bps"
    return {"seconds": "s", "bytes": "bytes"}.get(metric.unit, "short")
