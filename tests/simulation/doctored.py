"""Evidence with something wrong in it: each function here puts one wrong thing into the ordinary evidence, and names the
law that has to see it.
"""

from __future__ import annotations

from copy import copy, deepcopy

from tests.simulation.ordinary import ordinary

DOCTORS = []  # (name of the law, function)


def breaks(*laws):
    def note(doctor):
        DOCTORS.extend((law, doctor) for law in laws)
        return doctor

    return note


def doctored(doctor):
    """The ordinary evidence, with this wrong in it."""
    evidence = copy(ordinary())
    for name in ("history", "commands", "activities", "timers", "dead_letters", "replies", "poison"):
        setattr(evidence, name, list(getattr(evidence, name)))
    for name in ("ledger", "answers", "rows", "events", "left", "ops", "deployments"):
        setattr(evidence, name, deepcopy(getattr(evidence, name)))
    doctor(evidence)
    return evidence


def find(facts, name, **fields):
    """The index of the first such record."""
    return next(
        place
        for place, fact in enumerate(facts)
        if fact.name == name
        and all((fact.instance if key == "instance" else fact.fields[key]) == value for key, value in fields.items())
    )


def change(facts, place, **fields):
    """Put other fields into a record; `at_us_committed` and `instance` are the record's own."""
    fact = facts[place]
    own = {"at_us": fields.pop("at_us_committed", fact.at_us), "instance": fields.pop("instance", fact.instance)}
    facts[place] = fact._replace(fields={**fact.fields, **fields}, **own)


def again(facts, place, **fields):
    """A record stands there twice, the second time with other fields."""
    facts.insert(place + 1, facts[place])
    change(facts, place + 1, **fields)


def answer(evidence, verb, instance, outcome="accepted"):
    return next(
        each for each in evidence.answers if (each.verb, each.instance, each.outcome) == (verb, instance, outcome)
    )


# -- histories ------------------------------------------------------------------------------------------------


@breaks("histories_are_gapless_chains", "commands_are_decided_once_and_right")
def an_event_is_missing(evidence):
    del evidence.history[find(evidence.history, "EventRaised", command_id="k-07")]


@breaks("histories_are_gapless_chains", "each_step_ends_once", "commands_are_decided_once_and_right")
def a_result_counts_twice(evidence):
    again(evidence.history, find(evidence.history, "ActivityCompleted"))


@breaks("histories_are_gapless_chains")
def a_history_goes_on_after_its_end(evidence):
    place = find(evidence.history, "WorkflowTerminated")
    again(evidence.history, place, seq=evidence.history[place].fields["seq"] + 1)


@breaks("lives_follow_one_another")
def time_runs_backwards(evidence):
    place = find(evidence.history, "ActivityCompleted", instance="s-0001")
    change(evidence.history, place, at_us=evidence.history[place].fields["at_us"] - 60_000_000)


@breaks("lives_follow_one_another")
def a_generation_begins_with_another_input(evidence):
    change(evidence.history, find(evidence.history, "WorkflowStarted", generation=1), input='{"label":"x","steps":[]}')


@breaks("lives_follow_one_another")
def an_instance_has_history_in_two_partitions(evidence):
    place = find(evidence.history, "WorkflowResumed")
    evidence.history[place] = evidence.history[place]._replace(partition=(evidence.history[place].partition + 1) % 3)


@breaks("lives_follow_one_another")
def a_second_run_begins_beside_the_first(evidence):
    del evidence.history[find(evidence.history, "WorkflowPurged", instance="s-0003")]
    del evidence.history[find(evidence.history, "WorkflowCompleted", instance="s-0003")]


@breaks("times_are_those_of_clocks")
def an_event_is_dated_before_its_command(evidence):
    place = find(evidence.history, "WorkflowTerminated", instance="s-0002")
    change(evidence.history, place, at_us=evidence.history[place].fields["at_us"] - 1)


@breaks("runs_are_named_by_their_start")
def a_run_has_the_name_of_another_place(evidence):
    for place, fact in enumerate(evidence.history):
        if fact.instance == "s-0004":
            change(evidence.history, place, run=f"0.{fact.partition}.0")


@breaks("each_step_ends_once")
def an_attempt_is_made_that_nobody_planned(evidence):
    change(evidence.history, find(evidence.history, "ActivityFailed", instance="s-0001"), retry_at_us=0)


# -- code -----------------------------------------------------------------------------------------------------


@breaks("code_does_what_its_plan_says", "activities_run_because_asked")
def another_activity_was_asked_for(evidence):
    change(evidence.history, find(evidence.history, "ActivityScheduled"), name="work_otherwise")


@breaks("code_does_what_its_plan_says")
def a_cause_is_another_fact(evidence):
    change(evidence.history, find(evidence.history, "TimerCreated"), cause=2)


@breaks("code_does_what_its_plan_says")
def a_timer_is_set_to_another_time(evidence):
    place = find(evidence.history, "TimerCreated")
    change(evidence.history, place, fire_at_us=evidence.history[place].fields["fire_at_us"] + 1)


@breaks("code_does_what_its_plan_says")
def an_output_is_another(evidence):
    change(evidence.history, find(evidence.history, "WorkflowCompleted"), output='{"label":"short","results":[]}')


@breaks("code_does_what_its_plan_says")
def code_is_told_while_it_is_suspended(evidence):
    place = find(evidence.history, "WorkflowSuspended")
    change(evidence.history, place, handled_to=evidence.history[place].fields["handled_to"] - 1)


@breaks("raised_events_are_carried_in_order")
def a_carried_event_is_lost(evidence):
    del evidence.history[find(evidence.history, "EventRaised", carried=True)]


@breaks("raised_events_are_carried_in_order")
def carried_events_change_places(evidence):
    one = find(evidence.history, "EventRaised", carried=True)
    first, second = evidence.history[one].fields, evidence.history[one + 1].fields
    assert second["carried"]
    change(evidence.history, one, **{**second, "seq": first["seq"]})
    change(evidence.history, one + 1, **{**first, "seq": second["seq"]})


@breaks("instances_stall_for_a_reason")
def an_instance_stalls_under_the_right_version(evidence):
    place = find(evidence.history, "WorkflowResumed")
    stalled = {"reason": "diverged", "detail": "", "fingerprint": "f", "handled_to": 0}
    again(evidence.history, place, **stalled)
    evidence.history[place + 1] = evidence.history[place + 1]._replace(name="WorkflowStalled")


# -- commands -------------------------------------------------------------------------------------------------


@breaks("commands_are_decided_once_and_right")
def a_pause_had_no_effect(evidence):
    del evidence.history[find(evidence.history, "WorkflowSuspended")]
    del evidence.history[find(evidence.history, "WorkflowResumed")]


@breaks("commands_are_decided_once_and_right", "answers_tell_what_was_decided")
def a_command_is_not_in_the_log(evidence):
    del evidence.commands[find(evidence.commands, "TerminateWorkflow", command_id="k-11")]


@breaks("commands_are_decided_once_and_right")
def a_position_passes_commands_that_are_not_there_yet(evidence):
    place = find(evidence.history, "BatchCommitted")
    for at, fact in enumerate(evidence.history):
        if fact.name == "BatchCommitted" and fact.partition == evidence.history[place].partition:
            change(evidence.history, at, next_offset=fact.fields["next_offset"] + 3)


@breaks("commands_are_decided_once_and_right")
def a_command_is_left_undecided(evidence):
    place = find(evidence.commands, "ResumeWorkflow")
    command = evidence.commands[place]
    for at, fact in enumerate(evidence.history):
        passed = fact.fields.get("next_offset", 0) > command.offset
        if fact.name == "BatchCommitted" and fact.partition == command.partition and passed:
            change(evidence.history, at, undecided=[command.offset])


@breaks("commands_are_decided_once_and_right")
def a_retry_comes_too_early(evidence):
    place = find(evidence.history, "ActivityFailed", instance="s-0001")
    change(evidence.history, place, retry_at_us=evidence.history[place].fields["retry_at_us"] - 1)


@breaks("commands_are_decided_once_and_right")
def a_generation_forgets_command_ids(evidence):
    change(evidence.history, find(evidence.history, "WorkflowStarted", generation=1), carried_command_ids=[])


@breaks("a_command_id_counts_once")
def a_repeat_has_effect(evidence):
    place = find(evidence.history, "EventRaised", command_id="k-06")
    again(evidence.history, place, seq=evidence.history[place].fields["seq"] + 1)


@breaks("commands_are_clients_or_the_engines")
def a_command_says_what_nobody_asked_for(evidence):
    change(evidence.commands, find(evidence.commands, "RaiseEvent", command_id="k-07"), data='"other"')


@breaks("commands_are_clients_or_the_engines")
def a_rerun_has_another_input(evidence):
    change(evidence.commands, find(evidence.commands, "StartWorkflow", rerun_of="s-0003"), input='{"label":"x"}')


# -- effects --------------------------------------------------------------------------------------------------


@breaks("what_was_decided_is_sent_once")
def a_task_is_not_sent(evidence):
    del evidence.activities[0]


@breaks("what_was_decided_is_sent_once")
def a_task_is_sent_twice(evidence):
    again(evidence.activities, 0)


@breaks("what_was_decided_is_sent_once")
def a_child_is_not_told_to_end(evidence):
    del evidence.commands[find(evidence.commands, "TerminateWorkflow", parent_id="s-0002")]


@breaks("what_was_decided_is_sent_once")
def a_parent_is_not_told_of_its_child(evidence):
    del evidence.commands[find(evidence.commands, "CompleteChild")]


@breaks("what_was_decided_is_sent_once")
def a_purge_does_not_reach_the_children(evidence):
    del evidence.commands[find(evidence.commands, "PurgeWorkflow", parent_id="s-0002")]


@breaks("what_was_decided_is_sent_once")
def a_retry_is_not_timed(evidence):
    del evidence.timers[find(evidence.timers, "SetTimer", kind="retry")]


@breaks("what_was_decided_is_sent_once")
def a_generation_is_not_told_to_begin(evidence):
    del evidence.commands[find(evidence.commands, "BeginGeneration")]


@breaks("timers_fire_when_they_are_due")
def a_timer_fires_early(evidence):
    place = find(evidence.commands, "FireTimer", kind="timer")
    change(evidence.commands, place, at_us_committed=evidence.commands[place].fields["fire_at_us"] - 1)


@breaks("timers_fire_when_they_are_due")
def a_timer_fires_that_nobody_had_set(evidence):
    change(evidence.commands, find(evidence.commands, "FireTimer", kind="timer"), task_id=77)


@breaks("timers_fire_when_they_are_due")
def a_timer_is_lost(evidence):
    del evidence.commands[find(evidence.commands, "FireTimer", kind="start")]


# -- activities and money ---------------------------------------------------------------------------------------


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


# -- answers --------------------------------------------------------------------------------------------------


@breaks("answers_tell_what_was_decided")
def a_refused_start_is_told_accepted(evidence):
    answer(evidence, "start", "s-0001", "AlreadyExists").outcome = "accepted"


@breaks("answers_tell_what_was_decided")
def an_answer_comes_before_the_commit(evidence):
    told = answer(evidence, "terminate", "s-0002")
    told.answered_us = told.sent_us - 1


@breaks("replies_tell_what_was_decided")
def a_reply_is_of_another_outcome(evidence):
    place = find(evidence.replies, "Reply", correlation="k-11")
    change(evidence.replies, place, accepted=False, reason="NotRunning")


@breaks("replies_tell_what_was_decided")
def a_reply_is_written_before_the_commit(evidence):
    place = find(evidence.replies, "Reply", correlation="k-11")
    change(evidence.replies, place, at_us_committed=evidence.replies[place].at_us - 1)


@breaks("replies_tell_what_was_decided")
def a_reply_goes_to_nobody(evidence):
    change(evidence.replies, 0, token="another")


@breaks("replies_tell_what_was_decided", "snapshots_are_states_of_their_time")
def a_snapshot_shows_what_never_was(evidence):
    place = next(at for at, fact in enumerate(evidence.replies) if fact.fields["snapshot"])
    change(evidence.replies, place, snapshot={**evidence.replies[place].fields["snapshot"], "custom_status": "7"})
    answer(evidence, "state", "s-0001").snapshot["custom_status"] = '"elsewhere"'


@breaks("snapshots_are_states_of_their_time")
def a_snapshot_is_of_a_time_that_was_over(evidence):
    told = answer(evidence, "state", "s-0001")
    told.sent_us = told.answered_us = told.sent_us + 3_000_000


@breaks("snapshots_are_states_of_their_time")
def a_snapshot_is_shown_before_its_commit(evidence):
    told = answer(evidence, "wait", "s-0001")
    told.answered_us -= 1


@breaks("snapshots_are_states_of_their_time")
def a_wait_is_over_before_its_end(evidence):
    told = answer(evidence, "wait", "s-0001")
    shown = answer(evidence, "state", "s-0001")
    told.sent_us, told.answered_us, told.snapshot = shown.sent_us, shown.answered_us, shown.snapshot


@breaks("snapshots_are_states_of_their_time")
def an_instance_is_not_known_to_its_owner(evidence):
    told = answer(evidence, "state", "s-0001")
    told.outcome, told.snapshot = "UnknownInstance", None


# -- partitions, stores and the rest ----------------------------------------------------------------------------


def _markers(evidence, partition=0):
    places = [at for at, fact in enumerate(evidence.history) if fact.name == "BatchCommitted"]
    return [at for at in places if evidence.history[at].partition == partition]


@breaks("markers_move_forward")
def a_position_goes_back(evidence):
    change(evidence.history, _markers(evidence)[-1], next_offset=0)


@breaks("markers_move_forward")
def two_owners_write_in_turn(evidence):
    with_events = find(evidence.history, "WorkflowStarted")
    place = next(at for at in range(with_events, len(evidence.history)) if not evidence.history[at].instance)
    change(evidence.history, place, owner="a zombie")


@breaks("markers_move_forward")
def events_stand_after_the_last_marker(evidence):
    del evidence.history[_markers(evidence, evidence.history[-1].partition)[-1]]
    place = find(evidence.history, "ActivityCompleted", instance=evidence.history[-1].instance or "s-0003")
    partition = evidence.history[place].partition
    evidence.history[place] = evidence.history[place]._replace(offset=10_000, partition=partition)


@breaks("markers_move_forward")
def what_was_decided_is_undecided_again(evidence):
    last = _markers(evidence)[-1]
    change(evidence.history, last, undecided=[evidence.history[last].fields["next_offset"] - 1])


@breaks("the_store_equals_the_log")
def a_stored_event_has_other_bytes(evidence):
    next(iter(evidence.events.values()))[1] += b"x"


@breaks("the_store_equals_the_log")
def a_row_is_missing(evidence):
    del evidence.rows["s-0001"]


@breaks("the_store_equals_the_log")
def a_row_is_behind(evidence):
    evidence.rows["s-0001"]["last_seq"] -= 1


@breaks("the_store_equals_the_log")
def a_tombstone_forgets_what_was_accepted(evidence):
    evidence.rows["s-0002"]["command_ids"] = []


@breaks("the_store_equals_the_log")
def an_earlier_generation_stays_stored(evidence):
    (instance, run, _), events = next(each for each in evidence.events.items() if each[0][2] == 1)
    evidence.events[instance, run, 0] = events


@breaks("dead_letters_are_the_poison")
def garbage_is_nowhere(evidence):
    evidence.dead_letters.clear()


@breaks("dead_letters_are_the_poison")
def a_good_neighbour_is_swallowed(evidence):
    evidence.dead_letters.append(evidence.commands[0]._replace(name="", fields={"perdure-reason": "?"}))


@breaks("everything_ends")
def a_run_has_no_end(evidence):
    del evidence.history[find(evidence.history, "WorkflowCompleted", instance="s-0004")]


@breaks("everything_ends")
def an_operation_is_not_answered(evidence):
    told = answer(evidence, "terminate", "s-0002")
    told.answered_us, told.outcome = 0, "unanswered"


@breaks("everything_ends")
def an_operation_is_not_sent(evidence):
    del evidence.answers[0]


@breaks("nothing_leaks")
def a_cache_is_not_empty(evidence):
    evidence.left["parked commands of partition 0"] = ["s-0001"]
