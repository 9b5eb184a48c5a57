"""Wrong runs of activities, and money that is not where it should be."""

from __future__ import annotations

from tests.simulation.doctored.practice import breaks, change, find


@breaks("results_are_what_was_asked_for")
def a_result_is_of_another_activity(evidence):
    change(evidence.history, find(evidence.history, "ActivityCompleted"), output="4711")


@breaks("results_are_what_was_asked_for")
def an_activity_fails_that_was_to_succeed(evidence):
    place = find(evidence.history, "ActivityCompleted", instance="s-0003")
    change(evidence.history, place, error_type="RuntimeError", error_message="", retry_at_us=0)
    evidence.history[place] = evidence.history[place]._replace(name="ActivityFailed")


@breaks("results_come_of_runs")
def an_activity_completes_that_never_ran(evidence):
    del evidence.ledger[0]


@breaks("results_come_of_runs")
def a_worker_tells_of_what_it_was_not_asked(evidence):
    change(evidence.commands, find(evidence.commands, "CompleteActivity"), attempt=9)


@breaks("activities_run_because_asked")
def an_attempt_runs_that_nobody_asked_for(evidence):
    evidence.ledger.append({**evidence.ledger[0], "attempt": 5})


@breaks("activities_run_because_asked")
def an_activity_runs_under_another_key(evidence):
    evidence.ledger[0]["key"] += "0"


@breaks("activities_run_because_asked")
def an_activity_is_given_another_spec(evidence):
    evidence.ledger[0]["spec"]["value"] += 1


def _moves(evidence):
    return [line for line in evidence.ledger if line.get("did") == "moved"]


@breaks("money_is_conserved")
def a_move_was_not_made(evidence):
    _moves(evidence)[0]["did"] = "refused"


@breaks("money_is_conserved")
def a_compensation_was_not_made(evidence):
    _moves(evidence)[-1]["did"] = "refused"


@breaks("money_is_conserved")
def one_key_moves_two_amounts(evidence):
    evidence.ledger.append({**_moves(evidence)[0], "amount": 1})


@breaks("money_is_conserved")
def money_moves_twice_under_two_keys(evidence):
    line = _moves(evidence)[0]
    evidence.ledger.append({**line, "key": line["key"].rpartition("/")[0] + "/99"})
