"""How many processes for which lag."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scaling.rules import (
    COOLDOWN_SECONDS,
    LAG_OF_A_TIMER,
    LAG_OF_AN_ORCHESTRATOR,
    PARTITIONS,
    Rule,
    Scaled,
    rules_of,
)

WORKER = Rule("activity-worker", "t.activities", "t.activity-worker", 10, 0, 0, 4, 3)
OWNER = replace(WORKER, role="orchestrator", threshold=80, least=1, most=3)


def counts(rule, *looks):
    """(lag, seconds) each; how many there are after it."""
    scaled, running, found = Scaled(rule), 0, []
    for lag, at in looks:
        running = scaled.count(lag, running, at)
        found.append(running)
    return found


def test_no_lag_needs_nobody_and_the_first_task_wakes_one():
    assert counts(WORKER, (0, 0), (1, 1)) == [0, 1]


def test_a_lag_wakes_one_first_and_then_as_many_as_it_needs_up_to_the_partitions():
    assert counts(WORKER, (35, 0), (35, 1)) == [1, 4]
    assert counts(WORKER, (900, 0), (900, 1)) == [1, 4]
    assert counts(WORKER, (21, 0), (21, 1)) == [1, 3]


def test_a_lag_of_one_that_never_goes_keeps_one_for_ever():
    """A marker of a commit behind the last task, if nobody stored a position behind it."""
    assert counts(WORKER, *((1, second) for second in range(30)))[-1] == 1
    assert counts(WORKER, (1, 0), *((0, second) for second in range(1, 30)))[-1] == 0


def test_going_down_waits_for_the_window():
    assert counts(WORKER, (40, 0), (40, 1), (12, 2), (12, 3), (12, 4), (12, 5)) == [1, 4, 4, 4, 2, 2]


@pytest.mark.parametrize(("lag", "wanted"), [(0, 1), (80, 1), (81, 2), (161, 3), (9999, 3)])
def test_of_an_orchestrator_there_is_always_one(lag, wanted):
    assert counts(OWNER, (lag, 0), (lag, 1))[-1] == wanted


def test_a_tenth_more_or_less_than_what_runs_changes_nothing():
    assert counts(OWNER, (80, 0), (87, 1), (89, 2), (170, 3), (177, 4)) == [1, 1, 2, 2, 3]


def test_rules_are_those_of_the_chart(tmp_path):
    rules = rules_of("shop", tmp_path / "rendered")
    worker, owner, timer = rules["activity-worker"], rules["orchestrator"], rules["timer"]
    assert (worker.topic, worker.group) == ("shop.activities", "shop.activity-worker")
    assert (worker.threshold, worker.activation, worker.least, worker.most) == (10, 0, 0, PARTITIONS)
    assert owner.threshold == LAG_OF_AN_ORCHESTRATOR
    assert (owner.least, owner.most, owner.cooldown_s) == (1, 3, COOLDOWN_SECONDS)
    assert (timer.topic, timer.group, timer.threshold) == ("shop.timers", "shop.timer", LAG_OF_A_TIMER)
    assert (timer.least, timer.most, timer.cooldown_s) == (1, 3, COOLDOWN_SECONDS)
