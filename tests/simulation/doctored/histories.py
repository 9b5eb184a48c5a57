"""Wrong histories, and code that did not do what its plan says."""

from __future__ import annotations

from tests.simulation.doctored.practice import again, breaks, change, find


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
    change(evidence.history, place, at_us=evidence.history[place].fields["at_us"] - 20_000)


@breaks("runs_are_named_by_their_start")
def a_run_has_the_name_of_another_place(evidence):
    for place, fact in enumerate(evidence.history):
        if fact.instance == "s-0004":
            change(evidence.history, place, run=f"0.{fact.partition}.0")


@breaks("each_step_ends_once")
def an_attempt_is_made_that_nobody_planned(evidence):
    change(evidence.history, find(evidence.history, "ActivityFailed", instance="s-0001"), retry_at_us=0)


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


def _stalls(evidence, reason):
    place = find(evidence.history, "WorkflowResumed")
    again(evidence.history, place, reason=reason, detail="", fingerprint="f", handled_to=0)
    evidence.history[place + 1] = evidence.history[place + 1]._replace(name="WorkflowStalled")


@breaks("instances_stall_for_a_reason")
def an_instance_stalls_under_the_right_version(evidence):
    _stalls(evidence, "diverged")


@breaks("instances_stall_for_a_reason")
def an_instance_is_called_a_killer_that_nobody_tried(evidence):
    _stalls(evidence, "crash")


@breaks("instances_stall_for_a_reason")
def an_instance_stalls_by_the_engines_own_error(evidence):
    _stalls(evidence, "internal")
