"""Things that went before their age, or never."""

from __future__ import annotations

from tests.simulation.doctored.practice import breaks, change, find
from tests.simulation.evidence import Deletion


def _for_age(evidence, **more):
    """The client's purge of s-0003 becomes one for its age; its run ended some seconds before."""
    run = evidence.history[find(evidence.history, "WorkflowPurged", instance="s-0003")].fields["run"]
    given = {"requested_by": "retention", "run": run, "command_id": f"retention/{run}", "recursive": False}
    change(evidence.commands, find(evidence.commands, "PurgeWorkflow", instance="s-0003"), **given | more)


@breaks("instances_are_purged_at_their_age")
def an_instance_is_purged_young(evidence):
    evidence.ages = {"COMPLETED": 60.0}
    _for_age(evidence)


@breaks("instances_are_purged_at_their_age")
def an_instance_is_purged_that_has_no_age(evidence):
    evidence.ages = {"FAILED": 1.0}
    _for_age(evidence)


@breaks("instances_are_purged_at_their_age")
def a_purge_for_age_names_no_run(evidence):
    evidence.ages = {"COMPLETED": 1.0}
    _for_age(evidence, run="")


@breaks("instances_are_purged_at_their_age")
def a_purge_for_age_takes_the_children(evidence):
    evidence.ages = {"COMPLETED": 1.0}
    _for_age(evidence, recursive=True)


@breaks("dead_letters_are_the_poison")
def a_purge_for_age_is_a_dead_letter(evidence):
    _for_age(evidence, run="0.0.77")
    place = find(evidence.commands, "PurgeWorkflow", instance="s-0003")
    evidence.dead_letters.append(evidence.commands[place])


@breaks("what_is_old_is_purged_in_the_end")
def an_old_instance_is_never_purged(evidence):
    evidence.ages = {"COMPLETED": 1.0}


@breaks("what_is_let_go_of_is_old_and_stored")
def young_history_is_deleted(evidence):
    evidence.record_ages = {"sim.history": 30.0}
    fact = evidence.history[5]
    evidence.deletions = [Deletion("sim.history", fact.partition, fact.offset + 1, fact.at_us + 9_000_000, 1 << 40)]


@breaks("what_is_let_go_of_is_old_and_stored")
def history_is_deleted_that_is_not_stored(evidence):
    fact = evidence.history[5]
    evidence.deletions = [Deletion("sim.history", fact.partition, fact.offset + 1, evidence.ended_us, fact.offset)]


@breaks("what_is_old_is_let_go_of_in_the_end")
def old_history_stays(evidence):
    evidence.record_ages = {"sim.history": 1.0}
    evidence.starts = dict.fromkeys(evidence.starts, (0, 1 << 40))
