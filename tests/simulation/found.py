"""By which seed each planted bug was found first, of those from 0 on; what the tests try first.

A change of the engine or of the scenarios moves these numbers: then `python -m tests.simulation --planted NAME` tells the
new one. A bug that MOST seeds do not find counts as one that the simulation cannot find.
"""

MOST = 1_500

FOUND = {
    "fencing_is_skipped": 11,
    "outputs_are_sent_before_the_commit": 5,
    "waits_are_answered_before_the_commit": 0,
    "tail_is_not_read": 13,
    "position_runs_ahead": 0,
    "undecided_commands_are_not_listed": 0,
    "an_unknown_outcome_counts_as_failure": 64,
    "a_failed_commit_is_forgotten": 5,
    "speculation_is_kept_after_an_abort": 25,
    "memory_is_kept_whatever_happened_meanwhile": 149,
    "a_dead_letter_swallows_its_neighbour": 14,
    "misrouted_commands_are_dropped": 23,
    "a_rebalance_ends_the_joining_process": 0,
    "a_later_command_passes_those_that_wait": 11,
    "repeats_are_not_recognised": 1,
    "results_count_twice": 1,
    "an_earlier_run_is_heard": 28,
    "an_earlier_generation_is_heard": 1,
    "an_earlier_attempt_is_heard": 49,
    "raised_events_are_lost_at_a_new_generation": 0,
    "termination_skips_a_child": 0,
    "recursion_obeys_anybody": 6,
    "a_fresh_id_is_never_looked_up": 284,
    "a_refused_command_wakes_nobody": 414,
    "the_clock_is_believed": 15,
    "evicted_before_it_is_stored": 0,
    "the_store_forgets": 0,
    "stored_up_to_what_was_only_sent": 4,
    "positions_of_writes_are_lost": 225,
    "the_tail_is_loaded_and_not_stored": 13,
    "history_goes_before_it_is_stored": 20,
    "commands_go_before_they_are_decided": 19,
    "nothing_is_evicted": 3,
    "what_was_replaced_is_not_cleared_away": 237,
    "timers_are_passed_before_they_fire": 18,
    "tasks_are_passed_before_they_end": 1,
    "a_claim_is_not_waited_for": 0,
    "what_runs_is_given_away": 1,
    "far_timers_are_dropped_early": 125,
    "timers_fire_early": 2,
    "far_timers_are_not_recovered": 19,
}
