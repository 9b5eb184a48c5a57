"""What the roles count, and how Prometheus reads it."""

import dataclasses
import re

import pytest

from perdure.roles.activities.settings import ActivityStats
from perdure.roles.orchestrator import Stats
from perdure.roles.timers.settings import TimerStats
from perdure.services.samples import CATALOGUE, Sample, exposition, of_stats
from tests.documents.markdown import text_of

KINDS = [(Stats, "perdure_"), (ActivityStats, "perdure_activities_"), (TimerStats, "perdure_timers_")]


@pytest.mark.parametrize(("kind", "prefix"), KINDS, ids=lambda given: getattr(given, "__name__", ""))
def test_everything_that_a_role_counts_is_in_the_catalogue(kind, prefix):
    stats = kind()
    if kind is Stats:
        stats.rejections["Unknown"] += 1
    names = {sample.name for sample in of_stats(stats, prefix)}
    assert len(names) == len(dataclasses.fields(kind))
    assert names <= set(CATALOGUE)


def test_a_counter_has_a_sample_for_each_reason_and_microseconds_become_seconds():
    stats = Stats()
    stats.rejections.update(A=2, B=1)
    found = [sample for sample in of_stats(stats) if sample.name == "perdure_rejections_total"]
    assert found == [
        Sample("perdure_rejections_total", 2, (("reason", "A"),)),
        Sample("perdure_rejections_total", 1, (("reason", "B"),)),
    ]
    late = of_stats(TimerStats(lateness_us_sum=1_500_000, lateness_us_max=20_000), "perdure_timers_")
    assert Sample("perdure_timers_lateness_seconds_total", 1.5) in late
    assert Sample("perdure_timers_lateness_seconds_max", 0.02) in late


def test_the_text_groups_a_name_under_its_help_and_escapes_labels():
    text = exposition(
        [Sample("perdure_rejections_total", 1, (("reason", 'a"\\\n'),)), Sample("perdure_ready", 1.0),
         Sample("perdure_rejections_total", 12_345_678, (("reason", "b"),))]
    )  # fmt: skip
    assert text == (
        "# HELP perdure_rejections_total Commands rejected, by reason\n"
        "# TYPE perdure_rejections_total counter\n"
        'perdure_rejections_total{reason="a\\"\\\\\\n"} 1\n'
        'perdure_rejections_total{reason="b"} 12345678\n'
        "# HELP perdure_ready 1 while the service is ready, else 0\n"
        "# TYPE perdure_ready gauge\n"
        "perdure_ready 1\n"
    )


def test_the_documents_list_the_catalogue():
    listed = set(re.findall(r"`(perdure_[a-z_]+)`", text_of("docs/services.md")))
    assert listed == set(CATALOGUE)
