"""Crashes in virtual time: what a killed orchestrator had told and not exported is told by the next one."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from perdure.testing import engine
from perdure.testing.environment import kit_settings
from tests.telemetry.collected import of_sdk, once, steps, tree
from tests.telemetry.programs import ORDER, make_app

pytestmark = pytest.mark.filterwarnings("ignore:You should use InstrumentationScope")

EXPORT_US = 200_000  # as services have it
MOMENTS = 5  # ends of things that the orchestrator tells of, and more


class LateExport(SpanProcessor):
    """Exports after 0.2 s: what an orchestrator told shortly before its end is lost with it."""

    def __init__(self):
        self.clock, self.held = None, []

    def on_end(self, span):
        self.held.append((self.clock.now_us(), span))

    def crash(self):
        """Client and worker live on: only the orchestrator dies."""
        end = self.clock.now_us() - EXPORT_US
        self.held = [(at, span) for at, span in self.held if at <= end or span.name.startswith(("activity", "create"))]


@pytest.fixture
def exported(collected):
    processor = LateExport()
    collected.provider.add_span_processor(processor)
    return processor


def lived(exported, pauses):
    """The spans of one order, with a crash after each of these times (seconds after the one before)."""
    base = kit_settings()
    settings = replace(base, orchestrator=replace(base.orchestrator, write_behind_s=0.4))
    exported.held = []
    with engine(make_app(), settings=settings) as env:
        exported.clock = env.clock
        env.schedule_new_workflow("order", input="o", instance_id="o1")
        for pause in pauses:
            env.skip(timedelta(seconds=pause))
            exported.crash()
            env.restart()
        env.result("o1")
        env.skip(timedelta(seconds=1))
    return steps(once([of_sdk(span) for _, span in exported.held]))


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_crash_right_after_something_ended_loses_nothing_of_it(exported, moment):
    undisturbed = lived(exported, [])
    begin = min(span.start_us for span in undisturbed)
    ends = sorted({span.end_us for span in undisturbed if not span.name.startswith("create")})
    found = lived(exported, [(ends[moment % len(ends)] - begin + 10_000) / 1e6])
    assert tree(found) == tree(undisturbed) == [ORDER]


@pytest.mark.parametrize("seed", range(12))
def test_crashes_leave_the_same_tree_without_doubles_by_id(exported, seed):
    chance = random.Random(seed)
    pauses = [chance.choice((0.0, 0.05, 0.3, 0.9, 1.0, 2.0, 4.0)) for _ in range(4)]
    found = lived(exported, pauses)
    assert tree(found) == [ORDER], pauses
    assert len({(span.name, span.attributes.get("perdure.attempt")) for span in found}) == len(found)
