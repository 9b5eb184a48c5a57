"""Commands decided wrongly, and effects that are not what was decided."""

from __future__ import annotations

from tests.simulation.doctored.practice import again, breaks, change, find


@breaks("commands_are_decided_once_and_right")
def a_pause_had_no_effect(evidence):
    del evidence.history[find(evidence.history, "WorkflowSuspended")]
    del evidence.history[find(evidence.history, "WorkflowResumed")]


@breaks("commands_are_decided_in_the_order_of_the_log")
def a_command_is_passed_by_later_ones(evidence):
    place = find(evidence.commands, "RaiseEvent", command_id="k-06")
    command = evidence.commands[place]
    markers = [
        at for at, fact in enumerate(evidence.history)
        if fact.name == "BatchCommitted" and fact.partition == command.partition
        and fact.fields["next_offset"] > command.offset
    ]  # fmt: skip
    for at in markers[:-1]:
        change(evidence.history, at, undecided=[command.offset])


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
    evidence.ended_us += 600_000_000  # however long it is waited for
    del evidence.commands[find(evidence.commands, "FireTimer", kind="start")]


@breaks("timers_of_what_has_ended_are_cancelled")
def a_timer_outlives_its_generation(evidence):
    evidence.history.pop(find(evidence.history, "TimerFired", instance="s-0001"))
    evidence.timers[:] = [fact for fact in evidence.timers if fact.name != "CancelTimer"]
