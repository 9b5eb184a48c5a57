"""What is generated: plain values, the same from the same seed, and something of everything."""

import json
import random
from collections import Counter

from tests.simulation.workload.operations import generate
from tests.simulation.workload.plans import DEPTH_MAX, GENERATIONS_MAX, SECONDS_MAX, STEPS_MAX, Planner, longest_s
from tests.simulation.workload.programs import make_app

SEEDS = range(40)


def operations(seed):
    return generate(random.Random(seed), clients=3, seconds=60.0, size=60)


def plans():
    return [op["input"] for seed in SEEDS for op in operations(seed) if op["verb"] == "start"]


def walk(plan, depth=0, generation=1):
    """(step, depth, generation) of a plan, of its children and of its later generations."""
    for step in plan["steps"]:
        for each in (step, *step.get("branches", ())):
            yield each, depth, generation
            if each["do"] == "child":
                yield from walk(each["plan"], depth + 1)
            elif each["do"] == "again":
                yield from walk(each["plan"], depth, generation + 1)


def test_one_seed_is_one_scenario():
    assert operations(1) == operations(1)
    assert operations(1) != operations(2)


def test_operations_are_plain_json_in_the_order_of_time():
    for seed in SEEDS:
        ops = operations(seed)
        assert json.loads(json.dumps(ops)) == ops
        assert [op["at"] for op in ops] == sorted(op["at"] for op in ops)
        assert all(0 <= op["at"] <= 60 and op["client"] in range(3) for op in ops)


def test_every_kind_of_step_and_every_verb_is_common():
    steps = Counter(step["do"] for plan in plans() for step, _, _ in walk(plan))
    verbs = Counter(op["verb"] for seed in SEEDS for op in operations(seed))

    assert min(steps.values()) * 100 > steps.total(), steps
    assert min(verbs.values()) * 60 > verbs.total(), verbs
    assert len(steps) == 11
    assert len(verbs) == 9


def test_plans_are_bounded():
    for plan in plans():
        assert len(plan["steps"]) <= STEPS_MAX + 2
        assert all(depth <= DEPTH_MAX for _, depth, _ in walk(plan))
        assert all(generation <= GENERATIONS_MAX + 1 for _, _, generation in walk(plan))
        assert all(step["do"] not in ("again", "fail") for step in plan["steps"][:-1])


def test_a_saga_that_nobody_refuses_moves_nothing_in_all():
    for plan in plans():
        for step, _, _ in walk(plan):
            if step["do"] == "saga":
                assert sum(move["amount"] for move in step["moves"]) == 0


def test_events_of_a_race_have_names_of_their_own():
    planner = Planner(random.Random(3))
    races = [planner.race(2) for _ in range(200)]
    names = [each["name"] for race in races for each in race["branches"] if each["do"] == "event"]

    assert len(names) == len(set(names)) > 100


def test_the_bad_deployment_lacks_a_workflow_and_has_other_fingerprints():
    right, bad = make_app(print, 1), make_app(print, 2)

    assert set(right.workflows) - set(bad.workflows) == {"plan_b"}
    assert right.workflows["plan"].fingerprint != bad.workflows["plan"].fingerprint
    assert right.workflows["plan"].fingerprint == make_app(print, 1).workflows["plan"].fingerprint
    assert set(right.activities) == set(bad.activities)


def test_a_plan_does_not_outlast_a_worlds_patience():
    planner = Planner(random.Random(5))

    assert all(longest_s(planner.plan()) <= SECONDS_MAX for _ in range(500))
    far = {"do": "timer", "seconds": 300}
    twice = {"do": "child", "plan": {"steps": [far, far]}, "retry": {"attempts": 2}}
    assert (
        longest_s({"steps": [{"do": "fan", "branches": [far, twice]}, {"do": "again", "plan": {"steps": [far]}}]})
        == 1800
    )
