"""What the roles count, as Prometheus reads it: names and meanings are those of `perdure.telemetry.metrics`.

Roles know numbers, this module knows names: a role's Stats object is read field by field, and prometheus_client writes
the text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from perdure.telemetry.metrics import CATALOGUE, SECONDS, Histogram

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

__all__ = ["CONTENT_TYPE", "Sample", "exposition", "of_stats"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True, frozen=True)
class Sample:
    """One value of a metric of the catalogue; `labels` in the catalogue's order."""

    name: str
    value: float | Histogram
    labels: tuple[str, ...] = ()


def of_stats(stats: Any, prefix: str = "perdure_") -> list[Sample]:
    """A number or a Histogram is one sample, a Counter one for each of its keys."""
    samples = []
    for field in dataclasses.fields(stats):
        name, value = _name(prefix, field.name), getattr(stats, field.name)
        if isinstance(value, Mapping):
            samples += [Sample(name, count, (str(key),)) for key, count in sorted(value.items())]
        else:
            samples.append(Sample(name, value))
    return samples


def exposition(samples: Iterable[Sample]) -> str:
    """Prometheus' text format, with the process's own CPU and memory at its end. Raises KeyError for an unknown name."""
    # prometheus_client brings a web server along: imported by the first that asks.
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest  # noqa: PLC0415

    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([_family(name, group) for name, group in by_name.items()]))
    ProcessCollector(registry=registry)
    return generate_latest(registry).decode()


def _family(name: str, group: list[Sample]) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily  # noqa: PLC0415

    known = CATALOGUE[name]
    if known.kind == "histogram":
        histogram = HistogramMetricFamily(name, known.meaning, labels=known.labels)
        for sample in group:
            if isinstance(sample.value, Histogram):
                histogram.add_metric(sample.labels, _buckets(sample.value), sample.value.sum_s)
        return histogram
    kind = CounterMetricFamily if known.kind == "counter" else GaugeMetricFamily
    family = kind(name, known.meaning, labels=known.labels)
    for sample in group:
        if not isinstance(sample.value, Histogram):
            family.add_metric(sample.labels, sample.value)
    return family


def _buckets(value: Histogram) -> list[tuple[str, float]]:
    bounds = [*(f"{bound:g}" for bound in SECONDS), "+Inf"]
    return [(bound, float(count)) for bound, count in zip(bounds, accumulate(value.counts), strict=True)]


def _name(prefix: str, field: str) -> str:
    """Dead letters are one thing, whoever writes them."""
    if field == "dead_letters":
        return "perdure_dead_letters_total"
    level = f"{prefix}{field}"
    return level if level in CATALOGUE else f"{level}_total"


class _Collected:
    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        return iter(self._families)
