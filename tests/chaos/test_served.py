"""What counts as served again: only what began after the cause was gone, of every kind, everywhere."""

from __future__ import annotations

import json

import pytest

from tests.chaos.served import Served, silence_s
from tests.faults.records import Fact

SINCE = 1_000.0


def fact(at, partition, instance, name, **fields):
    value = json.dumps(fields).encode()
    return Fact(partition, 0, at, instance, name, {"run": "r", "generation": 0, **fields}, value)


def life(partition, instance, begins=SINCE + 1):
    """One workflow with one activity and one timer; each event a second after the one before."""
    due = int((begins + 4) * 1e6)
    return [
        fact(begins, partition, instance, "WorkflowStarted"),
        fact(begins + 1, partition, instance, "ActivityScheduled", task_id=1),
        fact(begins + 2, partition, instance, "ActivityCompleted", task_id=1),
        fact(begins + 3, partition, instance, "TimerCreated", task_id=2, fire_at_us=due),
        fact(begins + 4, partition, instance, "TimerFired", task_id=2, fire_at_us=due),
        fact(begins + 5, partition, instance, "WorkflowCompleted"),
    ]


def of(facts):
    served = Served(SINCE, lambda instance: instance.partition("-")[0] if "-" in instance else None)
    served.take(facts)
    return served


ALL = life(0, "http-1") + life(1, "log-1", SINCE + 2)
TOLD = {"http-1", "log-1"}


def test_all_of_it_is_served_and_the_last_of_it_tells_how_long_it_took():
    served = of(ALL)
    assert served.missing(TOLD) == []
    assert served.last(TOLD) == (7, "workflow of partition 1")


@pytest.mark.parametrize("name", ["WorkflowCompleted", "ActivityCompleted", "TimerFired"])
@pytest.mark.parametrize("partition", [0, 1])
def test_one_kind_that_is_missing_in_one_partition_is_missing(name, partition):
    rest = [each for each in ALL if (each.name, each.partition) != (name, partition)]
    missing = of(rest).missing(TOLD)
    assert any(f"of partition {partition}" in each for each in missing)
    assert not any(f"of partition {1 - partition}" in each for each in missing)


def test_a_client_that_was_not_told_is_missing():
    assert of(ALL).missing({"http-1"}) == ["no client told through log"]
    assert of(ALL).missing({"log-1"}) == ["no client told through http"]


def test_what_began_before_does_not_count_even_if_it_ends_after():
    earlier = life(0, "http-1", SINCE - 1.5) + life(1, "log-1", SINCE - 1.5)
    kinds = {text.partition(" of ")[0] for text in of(earlier).missing(TOLD)}
    assert kinds == {"no workflow", "no activity", "no client told through http", "no client told through log"}
    assert len(of(life(0, "http-1", SINCE - 4.5) + life(1, "log-1", SINCE - 4.5)).missing(TOLD)) == 8  # timers, too


def test_a_timer_that_was_due_before_does_not_count_although_it_fires_after():
    late = fact(SINCE + 1, 0, "http-1", "TimerFired", task_id=2, fire_at_us=int((SINCE - 1) * 1e6))
    rest = [each for each in ALL if (each.name, each.partition) != ("TimerFired", 0)]
    assert of([late, *rest]).missing(TOLD) == ["no timer of partition 0 since then"]


def test_a_child_ends_for_no_client():
    assert "no workflow of partition 0 since then" in of(life(0, "child") + life(1, "log-1")).missing(TOLD)


def test_silence_is_the_longest_gap_of_a_partition_and_reaches_to_both_ends():
    facts = [fact(at, partition, "", "BatchCommitted") for at, partition in ((1, 0), (2, 1), (3, 0), (7, 1), (9, 0))]
    assert silence_s(facts, 0, 10) == 6
    assert silence_s(facts, 0, 17) == 10
    assert silence_s([], 5, 8) == 3
