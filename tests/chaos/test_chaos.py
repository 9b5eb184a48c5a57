"""Chaos, shortened: services and brokers in trouble alone and in pairs, behind proxies, and a verdict. `make chaos` is the
long form.
"""

from __future__ import annotations

import os
from itertools import islice

import pytest

from tests.chaos import report
from tests.chaos.deck import Step, Trouble, deal
from tests.chaos.run import Chaos
from tests.chaos.stage import Stage
from tests.chaos.story import Story

SEED, STEPS, HOLDS = 69825, 4, (3.0, 8.0)
"""No broker is killed here, and no orchestrator loses Cassandra: tests/faults has both alone, the long form in pairs."""


def steps():
    return list(islice(deal(SEED, HOLDS), STEPS))


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("chaos")) as made:
        yield made


def a_run(stage, folder, some, **more):
    """Its story, and what its only round came to."""
    story = Story(SEED)
    told = Chaos(stage, story, **more).round(iter(some), f"x{os.getpid()}x{os.urandom(3).hex()}", folder)
    print(report.text(story))
    return story, told


def test_the_short_form_has_a_kill_a_stop_a_restart_every_trouble_of_a_link_and_pairs():
    troubles = [trouble for step in steps() for trouble in step.troubles]
    assert {"killed", "stopped", "restarted", "cut", "swallowed", "slow"} <= {each.what for each in troubles}
    assert {len(step.troubles) for step in steps()} == {1, 2}
    assert any(each.what == "cut" and not each.of_all for each in troubles), "one process alone is cut off"
    assert {each.broker for each in troubles} == {"", "kafka", "cassandra"}
    assert any(each.of_all for each in troubles), "all are cut off or slow"


@pytest.mark.brokers
@pytest.mark.slow
def test_after_each_trouble_all_is_served_again_and_the_verdict_is_sound(stage, tmp_path):
    story, told = a_run(stage, tmp_path, steps())
    assert told.verdict == "sound", f"{told.verdict}\n{told.said}"
    assert [done.step for done in story.done] == steps()
    assert all(done.recovery_s is not None for done in story.done)
    assert told.accepted > 10 * STEPS, "too little load to say anything"
    assert report.write(story, tmp_path / "report").exists()


@pytest.mark.brokers
@pytest.mark.slow
def test_a_fault_that_shows_only_when_two_troubles_meet_is_caught(stage, tmp_path):
    """The store is cut off, so that a tail stays in the log; then its owner is killed, and the next one forgets it."""
    both = Step((Trouble("cassandra", "cut", "cassandra"), Trouble("orchestrator", "killed")), hold_s=2.0, apart_s=2.0)
    planted = {"orchestrator": "tail_is_not_read"}
    story, told = a_run(stage, tmp_path, [both], planted=planted, served_s=15.0, settle_s=10.0, store_s=2.0)
    assert "the_store_equals_the_log: " in told.verdict, told.verdict + told.said
    assert not story.sound
