"""Seeds: many that are sound, those that once were not, and that they reach what they are for."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.laws import shown
from tests.simulation.run import play
from tests.simulation.scenario import FAULTS, scenario_of
from tests.simulation.workload.plans import children
from tests.simulation.workload.strangers import FRAMINGS, GARBAGE

SEEDS = int(os.environ.get("PERDURE_SIMULATION_SEEDS", "900"))
"""Two to four minutes on two cores, as they are; `make simulate` plays others, as long as you like."""

SHARE = 30
CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))


def played(scenario):
    outcome = play(scenario)
    assert outcome.sound, (
        f"seed {scenario['seed']}: {shown(outcome.complaints)}\n"
        f"`python -m tests.simulation --seed {scenario['seed']} --shrink` shows it, and makes it smaller"
    )
    return outcome


@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_whatever_goes_wrong_every_law_holds(first):
    for seed in range(first, min(first + SHARE, SEEDS)):
        played(scenario_of(seed))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_scenario_that_once_failed_is_sound(path):
    played(json.loads(path.read_text(encoding="utf-8"))["scenario"])


def test_the_corpus_says_what_each_scenario_found():
    assert CORPUS
    for path in CORPUS:
        assert json.loads(path.read_text(encoding="utf-8"))["found"]


# -- a sound verdict says nothing where nothing happened -----------------------------------------------------------

REACHED = {
    "a zombie is fenced": ("Fenced",),
    "a commit fails": ("CommitFailed",),
    "a commit's outcome is not known": ("whether the commit",),
    "a transaction stays open": ("open too long",),
    "a member is missed": ("misses",),
    "a process crashes": ("crashes",),
    "a process stands still": ("stands still",),
    "a partition is taken over again": ("the partition is taken over again",),
    "the store is away": ("the store does not take what is committed",),
    "an instance stalls": ("instance is stalled",),
    "an activity is over its time-out": ("an activity is over its time-out",),
    "a partition rests": ("rests at",),
    "history expires": ("history expires",),
    "a slice of far timers is dropped": ("drops slice",),
    "a stalled reader is replaced": ("begins again on new connections",),
    "a record is no command": ("a record is not ours to decide",),
    "owners die one after the other": ("owners died before their first commit",),
    "a client asks again": ("asks again for",),
    "the log is let go of": (
        "delete sim.history",
        "delete sim.instances",
        "delete sim.timers",
        "delete sim.activities",
    ),
    "an earlier marker goes on from the store": ("history's tail is gone",),
    "a schema is waited for": ("the schema registry does not answer",),
    "a schema is not had": ("the schema registry is away",),
    "a subscription's writer is fenced": ("a subscription's writer was fenced",),
    "a message fits no command": ("a message fits no command",),
    "a dead letter is settled": ("a dead letter is settled", "'replayed'", "'dropped'", "'LetterSettled'"),
    "a write version is raised": ("the namespace's write version is raised",),
}


def test_simulations_reach_what_they_are_for_and_most_of_it_ends_well():
    """Of seeds that no other test plays, enough for the rarest of what is looked for. Else everything would be sound for want
    of anything to go wrong. The laws hold of these, too.
    """
    outcomes = [played(scenario_of(seed)) for seed in range(10_000, 10_150)]
    text = "".join(outcome.text() for outcome in outcomes)
    assert not [what for what, words in REACHED.items() if not all(word in text for word in words)]
    answers = Counter(answer.outcome for outcome in outcomes for answer in outcome.evidence.answers)
    assert answers["accepted"] > sum(answers.values()) / 2
    ends = Counter(fact.name for outcome in outcomes for fact in outcome.evidence.history)
    assert ends["WorkflowCompleted"] > ends["WorkflowStarted"] / 3
    assert min(ends[name] for name in ("WorkflowFailed", "WorkflowTerminated", "WorkflowContinuedAsNew")) > 50


def test_every_kind_of_fault_operation_and_step_is_generated():
    scenarios = [scenario_of(seed) for seed in range(200)]
    faults = {fault["kind"] for scenario in scenarios for fault in scenario["faults"]}
    assert faults == {*FAULTS, "registry"}
    ops = [op for scenario in scenarios for op in scenario["ops"]]
    verbs = {op["verb"] for op in ops}
    assert verbs == {"start", "raise", "pause", "resume", "terminate", "purge", "rerun", "wait", "state"}
    steps = Counter(step["do"] for op in ops if "input" in op for step in op["input"]["steps"])
    wanted = {
        "activity", "changed", "child", "timer", "event", "fan", "race", "status", "saga", "again", "fail",
    }  # fmt: skip
    assert set(steps) == wanted
    assert any(children(op["input"]) for op in ops if "input" in op)


def test_everything_that_comes_from_outside_is_generated():
    scenarios = [scenario_of(seed) for seed in range(200)]
    published = [message for scenario in scenarios for message in scenario.get("published", ())]
    assert {message["framing"] for message in published} == set(FRAMINGS)
    assert {message["command"] for message in published} == {"StartWorkflow", "RaiseEvent"}
    spoilt = {(message["framing"], message["garbage"]) for message in published if "garbage" in message}
    assert spoilt == {(framing, what) for framing, kinds in GARBAGE.items() for what in kinds}
    assert all(any(more in message for message in published) for more in ("header_id", "copies", "astray"))
    troubles = [fault for scenario in scenarios for fault in scenario["faults"]]
    assert {fault["what"] for fault in troubles if fault["kind"] == "registry"} == {"away", "slow", "forgets"}
    hit = {(fault["role"], fault["kind"]) for fault in troubles if fault.get("role") in ("subscriber", "operator")}
    assert hit >= {("subscriber", "crash"), ("subscriber", "hang"), ("subscriber", "pause"), ("operator", "crash")}
    errands = [errand for scenario in scenarios for errand in scenario.get("errands", ())]
    assert {errand["what"] for errand in errands} == {"replay", "drop", "upgrade"}
    assert any(scenario["writes"]["behind_until"] for scenario in scenarios if "writes" in scenario)
