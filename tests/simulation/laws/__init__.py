"""The verdict. Each law is a function from what is known to what breaks it, in words; no complaint is a sound run.

Nothing here is the engine's: a law says what must be true of records, rows, lines and answers, whoever wrote them.
"""

from __future__ import annotations

import traceback

from tests.simulation.laws.activities import (
    activities_run_because_asked,
    results_are_what_was_asked_for,
    results_come_of_runs,
)
from tests.simulation.laws.ages import (
    instances_are_purged_at_their_age,
    what_is_let_go_of_is_old_and_stored,
    what_is_old_is_let_go_of_in_the_end,
    what_is_old_is_purged_in_the_end,
)
from tests.simulation.laws.answers import (
    answers_tell_what_was_decided,
    commands_are_clients_or_the_engines,
    replies_tell_what_was_decided,
    snapshots_are_states_of_their_time,
)
from tests.simulation.laws.effects import (
    timers_fire_when_they_are_due,
    timers_of_what_has_ended_are_cancelled,
    what_was_decided_is_sent_once,
)
from tests.simulation.laws.forwarding import what_came_astray_is_sent_home_once
from tests.simulation.laws.histories import (
    each_step_ends_once,
    histories_are_gapless_chains,
    lives_follow_one_another,
    runs_are_named_by_their_start,
    times_are_those_of_clocks,
)
from tests.simulation.laws.known import Known
from tests.simulation.laws.letters import (
    dead_letters_are_the_poison,
    letters_are_settled_once,
    operators_are_told_what_was_settled,
    what_is_not_read_had_no_schema,
)
from tests.simulation.laws.liveness import everything_ends, nothing_leaks
from tests.simulation.laws.money import money_is_conserved
from tests.simulation.laws.plans import (
    code_does_what_its_plan_says,
    instances_stall_for_a_reason,
    raised_events_are_carried_in_order,
)
from tests.simulation.laws.positions import markers_move_forward
from tests.simulation.laws.referee import (
    a_command_id_counts_once,
    commands_are_decided_in_the_order_of_the_log,
    commands_are_decided_once_and_right,
)
from tests.simulation.laws.sources import each_message_counts_once
from tests.simulation.laws.stored import the_store_equals_the_log
from tests.simulation.laws.versions import nothing_newer_is_written_before_the_upgrade

__all__ = ["LAWS", "shown", "verdict"]

COMPLAINTS_SHOWN = 20

LAWS = (
    histories_are_gapless_chains,
    lives_follow_one_another,
    times_are_those_of_clocks,
    runs_are_named_by_their_start,
    each_step_ends_once,
    code_does_what_its_plan_says,
    raised_events_are_carried_in_order,
    instances_stall_for_a_reason,
    commands_are_decided_once_and_right,
    commands_are_decided_in_the_order_of_the_log,
    a_command_id_counts_once,
    what_was_decided_is_sent_once,
    timers_fire_when_they_are_due,
    timers_of_what_has_ended_are_cancelled,
    results_are_what_was_asked_for,
    activities_run_because_asked,
    results_come_of_runs,
    money_is_conserved,
    answers_tell_what_was_decided,
    commands_are_clients_or_the_engines,
    replies_tell_what_was_decided,
    snapshots_are_states_of_their_time,
    markers_move_forward,
    the_store_equals_the_log,
    dead_letters_are_the_poison,
    what_is_not_read_had_no_schema,
    letters_are_settled_once,
    operators_are_told_what_was_settled,
    what_came_astray_is_sent_home_once,
    each_message_counts_once,
    nothing_newer_is_written_before_the_upgrade,
    instances_are_purged_at_their_age,
    what_is_old_is_purged_in_the_end,
    what_is_let_go_of_is_old_and_stored,
    what_is_old_is_let_go_of_in_the_end,
    everything_ends,
    nothing_leaks,
)


def verdict(evidence):
    """Every complaint, by the law's name. Empty: sound."""
    known = Known(evidence)
    return {law.__name__: found for law in LAWS if (found := _asked(law, known))}


def _asked(law, known):
    """A law that cannot make sense of the evidence says so: sound evidence never lets it come to that."""
    found = []
    try:
        found.extend(law(known))
    except Exception:  # the evidence is so wrong that the law's own reading broke
        found.append(f"the law cannot read the evidence: {traceback.format_exc(limit=-3)}")
    return found


def shown(complaints):
    """A verdict as text: some of each law's complaints, and how many there are."""
    lines = []
    for law, found in complaints.items():
        lines += [f"{law}: {len(found)}", *(f"   {each}" for each in found[:COMPLAINTS_SHOWN])]
    return "\n".join(lines) or "sound"
