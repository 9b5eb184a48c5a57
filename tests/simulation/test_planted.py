"""The simulation finds bugs: each that is planted, within a stated number of seeds, and makes them small."""

from __future__ import annotations

import json

import pytest

from tests.simulation.found import FOUND, FOUND_BY_LOSING, MOST
from tests.simulation.planted import BUGS, planted
from tests.simulation.run import play
from tests.simulation.scenario import scenario_of
from tests.simulation.shrink import shrunk
from tests.simulation.test_seeds import CORPUS

KEPT = {
    known["planted"]: known["scenario"]
    for path in CORPUS
    if "planted" in (known := json.loads(path.read_text(encoding="utf-8")))
}
"""Scenarios of the corpus by the bug that they once found and that can be planted again."""


def fails(name, scenario):
    """By a law, with the bug and not without it. A world that cannot go on is no finding."""
    with planted(name):
        complaints = play(scenario).complaints
    return bool(complaints.keys() - {"the_simulation_ran"}) and play(scenario).sound


def test_every_bug_is_found_by_seeds_or_by_what_the_corpus_keeps():
    assert set(BUGS) == FOUND.keys() | FOUND_BY_LOSING.keys() | KEPT.keys()


def finder(name):
    """The first seed that finds it: the one that is known, if it still does. None if MOST seeds do not."""
    return next((seed for seed in (FOUND[name], *range(MOST)) if fails(name, scenario_of(seed))), None)


@pytest.mark.parametrize("name", FOUND)
def test_a_planted_bug_is_found(name):
    assert FOUND[name] < MOST
    assert finder(name) is not None, f"{name} is not found by {MOST} seeds"


@pytest.mark.parametrize("name", KEPT)
def test_what_the_corpus_keeps_finds_its_bug_again(name):
    assert fails(name, KEPT[name])


def test_a_failing_scenario_is_made_smaller_and_still_fails():
    scenario = scenario_of(finder("tail_is_not_read"))
    with planted("tail_is_not_read"):
        complaints = play(scenario).complaints
        small = shrunk(scenario, complaints)
        assert play(small).complaints.keys() & complaints.keys()
    assert len(small["ops"]) < len(scenario["ops"]) / 2
    assert len(small["faults"]) < len(scenario["faults"]) or not scenario["faults"]
    assert play(small).sound
