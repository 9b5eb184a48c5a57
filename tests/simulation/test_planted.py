"""The simulation finds bugs: each that is planted, within a stated number of seeds, and makes them small."""

from __future__ import annotations

import pytest

from tests.simulation.found import FOUND, MOST
from tests.simulation.planted import BUGS, planted
from tests.simulation.run import play
from tests.simulation.scenario import scenario_of
from tests.simulation.shrink import shrunk


def fails(name, seed):
    """By a law, with the bug and not without it. A world that cannot go on is no finding."""
    with planted(name):
        complaints = play(scenario_of(seed)).complaints
    return bool(complaints.keys() - {"the_simulation_ran"}) and play(scenario_of(seed)).sound


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name):
    first = FOUND[name]
    assert first < MOST
    assert fails(name, first) or any(fails(name, seed) for seed in range(MOST)), f"{name} is not found by {MOST} seeds"


def test_a_failing_scenario_is_made_smaller_and_still_fails():
    scenario = scenario_of(FOUND["tail_is_not_read"])
    with planted("tail_is_not_read"):
        complaints = play(scenario).complaints
        small = shrunk(scenario, complaints)
        assert play(small).complaints.keys() & complaints.keys()
    assert len(small["ops"]) < len(scenario["ops"]) / 2
    assert len(small["faults"]) < len(scenario["faults"]) or not scenario["faults"]
    assert play(small).sound
