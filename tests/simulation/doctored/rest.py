"""Wrong answers, markers, stores and the rest."""

from __future__ import annotations

from tests.simulation.doctored.practice import again, answer, breaks, change, find


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
    change(evidence.replies, place, at_us_committed=evidence.replies[place].at_us - 20_000)


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
    told.answered_us -= 20_000


@breaks("snapshots_are_states_of_their_time")
def a_wait_is_over_before_its_end(evidence):
    told = answer(evidence, "wait", "s-0001")
    shown = answer(evidence, "state", "s-0001")
    told.sent_us, told.answered_us, told.snapshot = shown.sent_us, shown.answered_us, shown.snapshot


@breaks("snapshots_are_states_of_their_time")
def an_instance_is_not_known_to_its_owner(evidence):
    told = answer(evidence, "state", "s-0001")
    told.outcome, told.snapshot = "UnknownInstance", None


def _markers(evidence, partition=0):
    places = [at for at, fact in enumerate(evidence.history) if fact.name == "BatchCommitted"]
    return [at for at in places if evidence.history[at].partition == partition]


@breaks("markers_move_forward")
def a_position_goes_back(evidence):
    change(evidence.history, _markers(evidence)[-1], next_offset=0)


@breaks("markers_move_forward")
def an_owner_knows_less_of_the_store_than_before(evidence):
    place = [at for at in _markers(evidence) if evidence.history[at - 1].instance][-1]
    change(evidence.history, place, stored_to=0)


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
def a_run_stalls_at_its_own_code(evidence):
    place = find(evidence.history, "WorkflowCompleted", instance="s-0004")
    again(evidence.history, place, reason="diverged", detail="", fingerprint="f", handled_to=0)
    evidence.history[place + 1] = evidence.history[place + 1]._replace(name="WorkflowStalled")
    del evidence.history[place]


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
