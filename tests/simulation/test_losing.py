"""The log is lost, and everything that the store has goes on to its end; what is not asked for anew is missed."""

from __future__ import annotations

import pytest

from tests.simulation.found import FOUND_BY_LOSING
from tests.simulation.laws import shown
from tests.simulation.losing import losing_scenario_of, play_and_lose
from tests.simulation.planted import planted

SEEDS = 24
SHARE = 8
MOST = 200


@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_a_lost_log_keeps_nothing_from_its_end(first):
    for seed in range(first, first + SHARE):
        outcome = play_and_lose(losing_scenario_of(seed))
        assert outcome.sound, f"seed {seed}: {shown(outcome.complaints)}"


def test_a_world_whose_log_is_lost_had_much_to_ask_for():
    outcome = play_and_lose(losing_scenario_of(12))
    assert next(more[0] for _, _, what, more in outcome.lines if what == "asked") > 5


def misses(name, seed):
    scenario = losing_scenario_of(seed)
    with planted(name):
        complaints = play_and_lose(scenario).complaints
    return bool(complaints.keys() - {"the_simulation_ran"}) and play_and_lose(scenario).sound


@pytest.mark.parametrize("name", FOUND_BY_LOSING)
def test_a_planted_bug_is_found(name):
    seeds = (FOUND_BY_LOSING[name], *range(MOST))
    assert any(misses(name, seed) for seed in seeds), f"{name} is not found by {MOST} seeds"
