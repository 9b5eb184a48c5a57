"""What the roles count, how Prometheus reads it, and that one catalogue, code and documents say the same."""

import asyncio
import dataclasses
import re

import httpx
import pytest

from perdure.codec.avro import encode
from perdure.core.commands import StartWorkflow
from perdure.core.names import partition_of
from perdure.ports.log import Outgoing
from perdure.roles.activities.settings import ActivityStats
from perdure.roles.orchestrator import Stats
from perdure.roles.subscriptions.settings import SubscriberStats
from perdure.roles.timers.settings import TimerStats
from perdure.services.roles import ROLES
from perdure.services.samples import Sample, exposition, of_stats
from perdure.telemetry.metrics import CATALOGUE, SECONDS, Histogram
from tests.documents.markdown import text_of
from tests.services.worlds import SECONDS as PATIENCE
from tests.services.worlds import TOPICS, asked

KINDS = [
    (Stats, "perdure_"),
    (ActivityStats, "perdure_activities_"),
    (TimerStats, "perdure_timers_"),
    (SubscriberStats, "perdure_subscriptions_"),
]


@pytest.mark.parametrize(("kind", "prefix"), KINDS, ids=lambda given: getattr(given, "__name__", ""))
def test_everything_that_a_role_counts_is_in_the_catalogue_as_what_it_is(kind, prefix):
    stats = kind()
    if kind is Stats:
        stats.rejections["Unknown"] += 1
    if kind is SubscriberStats:
        for counter in (stats.started, stats.raised, stats.passed_over):
            counter["orders"] += 1
    samples = of_stats(stats, prefix)
    assert len({sample.name for sample in samples}) == len(dataclasses.fields(kind))
    for sample in samples:
        assert (CATALOGUE[sample.name].kind == "histogram") == isinstance(sample.value, Histogram), sample.name
        assert len(CATALOGUE[sample.name].labels) == len(sample.labels), sample.name


def test_a_counter_has_a_sample_for_each_reason():
    stats = Stats()
    stats.rejections.update(A=2, B=1)
    found = [sample for sample in of_stats(stats) if sample.name == "perdure_rejections_total"]
    assert found == [
        Sample("perdure_rejections_total", 2, ("A",)),
        Sample("perdure_rejections_total", 1, ("B",)),
    ]


def test_a_duration_is_counted_in_the_bucket_whose_bound_it_does_not_exceed():
    times = Histogram()
    for seconds in (0.0, 0.001, 0.0011, 300.0, 301.0):
        times.observe(seconds)
    assert (times.counts[0], times.counts[1], times.counts[-2], times.counts[-1]) == (2, 1, 1, 1)
    assert times.sum_s == pytest.approx(601.0021)
    text = exposition([Sample("perdure_commit_seconds", times)])
    for line in ('_bucket{le="0.001"} 2.0', '_bucket{le="300"} 4.0', '_bucket{le="+Inf"} 5.0', "_count 5.0"):
        assert f"perdure_commit_seconds{line}\n" in text
    assert text.count("perdure_commit_seconds_bucket") == len(SECONDS) + 1


def test_the_text_groups_a_name_under_its_help_and_escapes_labels():
    text = exposition(
        [Sample("perdure_rejections_total", 1, ('a"\\\n',)), Sample("perdure_ready", 1.0, ("timer",)),
         Sample("perdure_rejections_total", 12, ("b",))]
    )  # fmt: skip
    assert text.startswith(
        "# HELP perdure_rejections_total Commands rejected, by reason\n"
        "# TYPE perdure_rejections_total counter\n"
        'perdure_rejections_total{reason="a\\"\\\\\\n"} 1.0\n'
        'perdure_rejections_total{reason="b"} 12.0\n'
        "# HELP perdure_ready 1 while the service is ready, else 0\n"
        "# TYPE perdure_ready gauge\n"
        'perdure_ready{service="timer"} 1.0\n'
    )
    assert "process_cpu_seconds_total" in text
    with pytest.raises(KeyError):
        exposition([Sample("perdure_of_nobody", 1)])


def test_names_follow_the_rules_of_their_kinds():
    for metric in CATALOGUE.values():
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.kind != "histogram" or metric.name.endswith(f"_{metric.unit}"), metric.name
        assert set(metric.roles) <= set(ROLES), metric.name


async def test_every_service_shows_what_the_catalogue_says_of_it_and_nothing_else(world):
    for role in ROLES:
        await world.up(role)
    async with httpx.AsyncClient(base_url=world.told["gateway"]["gateway"], timeout=PATIENCE) as http:
        started = await http.post("/v1/workflows/doubled/start", params={"instance_id": "d1"}, json=21)
        assert started.status_code == 202
        # A rejection, for there is no sample of a reason that never was.
        assert (await http.post("/v1/instances/nobody/pause")).status_code == 404
        await http.get("/v1/instances/d1/wait")
        # And a dead letter that is settled.
        await world.ports.log.append([Outgoing(TOPICS.dead_letters, 0, b"", b"")])
        letter, *_ = (await http.get("/v1/dead-letters")).json()["letters"]
        assert (await http.post(f"/v1/dead-letters/{letter['id']}/drop")).status_code == 200
        # A start, an event and what is passed over, for none of these has a sample without a subscription.
        await world.subscribe()
    for role in ROLES:
        text = (await asked(world.told[role]["probes"], "/metrics")).text
        shown = dict(re.findall(r"^# TYPE (perdure_\w+) (\w+)$", text, re.MULTILINE))
        assert shown == {name: each.kind for name, each in CATALOGUE.items() if role in each.roles}
        for name in shown:
            labels = set(re.findall(r'(\w+)="', "".join(re.findall(rf"^{name}\w*(\{{.*\}})", text, re.MULTILINE))))
            assert labels - {"le"} == set(CATALOGUE[name].labels), name


async def test_the_end_of_a_transaction_is_no_lag_of_an_orchestrator_that_has_decided_all(world):
    await world.up("orchestrator")
    key = next(f"d{number}" for number in range(100) if partition_of(f"d{number}", 2) == 0)
    writer = await world.ports.log.open_writer("a-transaction")
    await writer.commit([Outgoing(TOPICS.instances, 0, key.encode(), encode(StartWorkflow("doubled", "21", "c1")))])
    assert await world.ports.log.bounds(TOPICS.instances, 0) == (0, 2)
    async with asyncio.timeout(PATIENCE):
        while (
            'perdure_lag_records{partition="0",topic="perdure.instances"} 0.0'
            not in (await asked(world.told["orchestrator"]["probes"], "/metrics")).text
        ):
            await asyncio.sleep(0.01)


def test_the_documents_list_the_catalogue():
    rows = re.findall(
        r"^\| `(perdure_\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text_of("docs/services.md"), re.MULTILINE
    )
    assert rows == [
        (each.name, each.kind, each.unit, ", ".join(each.labels) or "–", each.meaning) for each in CATALOGUE.values()
    ]
