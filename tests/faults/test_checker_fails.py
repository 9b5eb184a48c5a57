"""The checker finds what is wrong: in doctored evidence, law by law, and in an engine with a fault planted into it."""

from __future__ import annotations

import copy

import pytest

from tests.faults import checker
from tests.faults.evidence import Start
from tests.faults.troubles import orchestrator_hung, orchestrator_killed, worker_joined_and_left

pytestmark = [pytest.mark.brokers, pytest.mark.slow]


@pytest.fixture(scope="module")
def sound(make_scene):
    """What a run without faults leaves behind."""
    scene = make_scene()
    with scene.under_load(2):
        pass
    evidence = scene.evidence()
    assert not checker.verdict(evidence)
    scene.close()
    return evidence


def of(evidence, name, number=0):
    """(place in the list, fact) of the nth event of this name."""
    return [(place, fact) for place, fact in enumerate(evidence.history) if fact.name == name][number]


def changed(evidence, name, **fields):
    place, fact = of(evidence, name)
    evidence.history[place] = fact._replace(fields={**fact.fields, **fields})


def drop(evidence, name, number=0):
    evidence.history.remove(of(evidence, name, number)[1])


def repeat(evidence, name):
    place, fact = of(evidence, name)
    evidence.history.insert(place + 1, fact)


def lose_an_accepted_start(evidence):
    instance = min(evidence.told.accepted)
    evidence.history[:] = [fact for fact in evidence.history if fact.instance != instance]


def lose_an_accepted_event(evidence):
    drop(evidence, "EventRaised")


def start_what_nobody_asked_for(evidence):
    instance = min(evidence.told.asked)
    del evidence.told.asked[instance]
    evidence.told.accepted.discard(instance)
    evidence.told.results.pop(instance)


def start_again(evidence):
    instance = min(evidence.told.asked)
    some = [fact for fact in evidence.history if fact.instance == instance]
    evidence.history += [fact._replace(fields={**fact.fields, "run": "0.0.999999"}) for fact in some]


def another_result(evidence):
    instance = next(each for each, start in evidence.told.asked.items() if start.workflow == "order")
    evidence.told.asked[instance] = Start("patience", -1)


def lie_to_a_client(evidence):
    instance = min(evidence.told.results)
    evidence.told.results[instance] = "COMPLETED", "something else"


def put_money_in_twice(evidence):
    line = next(line for line in evidence.ledger if line.get("amount", 0) > 0)
    evidence.ledger.append({**line, "key": line["key"] + "0"})


def move_it_to_another_account(evidence):
    line = next(line for line in evidence.ledger if line.get("amount", 0) > 0)
    line["account"] = "nobody's"


def run_what_was_not_scheduled(evidence):
    evidence.ledger.append({**evidence.ledger[0], "task": 999})


def complete_what_never_ran(evidence):
    key = of(evidence, "ActivityCompleted")[1].instance
    evidence.ledger[:] = [line for line in evidence.ledger if line["instance"] != key]


def lose_a_stored_event(evidence):
    next(held for held in evidence.stored.events.values() if 3 in held).pop(3)


def store_another_byte(evidence):
    held = next(iter(evidence.stored.events.values()))
    held[1] += b"\0"


def lose_a_row(evidence):
    evidence.stored.rows.popitem()


def leave_an_earlier_generation(evidence):
    place = next(place for place in evidence.histories() if place[2] == 0 and (*place[:2], 1) in evidence.histories())
    evidence.stored.events[place] = {}


def a_zombie_commits(evidence):
    markers = [place for place, fact in enumerate(evidence.history) if fact.name == "BatchCommitted"]
    place = markers[-1]
    fact = evidence.history[place]
    evidence.history[place] = fact._replace(fields={**fact.fields, "owner": "vm-1-zombie"})


DOCTORED = {
    "nothing_acknowledged_is_lost": (
        lose_an_accepted_start, lose_an_accepted_event,
        lambda evidence: evidence.told.unanswered.append("x"), lambda evidence: setattr(evidence, "dead_letters", 1),
    ),
    "every_start_finishes_once_and_right": (
        lambda evidence: drop(evidence, "WorkflowCompleted"), lambda evidence: repeat(evidence, "WorkflowCompleted"),
        start_what_nobody_asked_for, start_again, another_result, lie_to_a_client,
    ),
    "histories_are_gapless_chains": (
        lambda evidence: drop(evidence, "ActivityCompleted"), lambda evidence: repeat(evidence, "ActivityScheduled"),
        lambda evidence: drop(evidence, "WorkflowStarted"), lambda evidence: drop(evidence, "WorkflowContinuedAsNew"),
        lambda evidence: changed(evidence, "ActivityCompleted", at_us=1),
    ),
    "every_step_has_one_result": (
        lambda evidence: repeat(evidence, "ActivityCompleted"), lambda evidence: drop(evidence, "ActivityScheduled"),
        lambda evidence: repeat(evidence, "ChildCompleted"), lambda evidence: repeat(evidence, "TimerFired"),
        lambda evidence: changed(evidence, "TimerFired", at_us=1),
    ),
    "activities_ran_as_scheduled": (run_what_was_not_scheduled, complete_what_never_ran),
    "money_is_conserved": (put_money_in_twice, move_it_to_another_account),
    "markers_move_forward": (
        a_zombie_commits, lambda evidence: evidence.history.append(of(evidence, "WorkflowCompleted")[1]),
        lambda evidence: changed(evidence, "BatchCommitted", next_offset=1 << 40),
    ),
    "the_store_equals_the_log": (
        lose_a_stored_event, store_another_byte, lose_a_row, leave_an_earlier_generation,
        lambda evidence: evidence.stored.torn.append("x"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("law", [law.__name__ for law in checker.LAWS])
def test_each_law_is_broken_by_doctored_evidence(sound, law):
    for doctor in DOCTORED[law]:
        evidence = copy.deepcopy(sound)
        doctor(evidence)
        assert law in checker.verdict(evidence), doctor


def nothing_else(_scene):
    """The fault shows by itself."""
    return lambda: None


def workers_come_and_go(scene):
    """Several times: what runs at the moment may all be in partitions that do not move."""

    def served():
        for _ in range(4):
            worker_joined_and_left(scene)()

    return served


PLANTED = [
    (
        {"orchestrator": "results_count_twice,store_forgets", "activity-worker": "results_are_sent_twice"},
        nothing_else,
        {"every_step_has_one_result", "the_store_equals_the_log"},
    ),
    ({"orchestrator": "tail_is_not_read"}, orchestrator_killed, {"the_store_equals_the_log"}),
    ({"orchestrator": "position_runs_ahead"}, orchestrator_killed, {"nothing_acknowledged_is_lost"}),
    ({"orchestrator": "hangs_before_commit,nobody_is_fenced"}, orchestrator_hung, {"markers_move_forward"}),
    ({"activity-worker": "what_runs_is_given_away"}, workers_come_and_go, {"what_runs_is_not_given_away"}),
]


@pytest.mark.parametrize(
    ("planted", "breaks", "laws"), PLANTED, ids=[next(iter(each.values())) for each, *_ in PLANTED]
)
def test_a_fault_planted_in_the_engine_is_caught(make_scene, planted, breaks, laws):
    scene = make_scene(planted=planted)
    with scene.under_load(1.5, patience=5):
        breaks(scene)()
    found = scene.complaints(patience=2)
    print(scene.report.text())
    assert laws <= found.keys(), checker.shown(found) + scene.said()
    scene.close()
