"""What goes by its age: ended instances, history, dead letters. Nothing before its time, nothing that was not meant, and in the
end nothing that is older.

Lenient by how far clocks are apart, and, of records, by how long a transaction may take to be seen.
"""

from __future__ import annotations

from collections import defaultdict

from tests.simulation.laws.known import where

ENDS = {"WorkflowCompleted": "COMPLETED", "WorkflowFailed": "FAILED", "WorkflowTerminated": "TERMINATED"}
LATE_S = 40.0  # to be looked for, listed, and decided in their turn
SEEN_S = 5.0  # from a record's being sent to its being seen, at most
HISTORY, LETTERS = "sim.history", "sim.dead-letters"


def instances_are_purged_at_their_age(known):
    """Each purge for the sake of age names a run that had ended so long ago, whatever becomes of the purge."""
    evidence, ends = known.evidence, {}
    for (instance, run, _), facts in known.generations.items():
        for fact in facts:
            if fact.name in ENDS:
                ends[instance, run] = fact
    for facts in known.commands.values():
        for fact in facts:
            if fact.name != "PurgeWorkflow" or fact.fields["requested_by"] != "retention":
                continue
            fields = fact.fields
            if fields["recursive"] or fields["command_id"] != f"retention/{fields['run']}":
                yield f"{where(fact)} ({fields['command_id']}) purges more than run {fields['run']}"
            end = ends.get((fact.instance, fields["run"]))
            age_s = evidence.ages.get(ENDS[end.name]) if end else None
            if age_s is None:
                yield f"{where(fact)} is for run {fields['run']}, which has no age at which it goes"
            elif fact.at_us + evidence.clock_skew_us < end.fields["at_us"] + age_s * 1e6:
                kept_s = (fact.at_us - end.fields["at_us"]) / 1e6
                yield f"{where(fact)}: {where(end)} was {kept_s:.3f} s old, not {age_s}"


def what_is_old_is_purged_in_the_end(known):
    evidence = known.evidence
    if not evidence.finished:
        return
    for instance, life in known.refereed.lives.items():
        age_s = evidence.ages.get(life.ended)
        if age_s is None:
            continue
        over_s = (evidence.ended_us - life.updated_at_us - evidence.clock_skew_us) / 1e6 - age_s
        if over_s > LATE_S:
            yield f"{instance}/{life.run} ({life.ended}) is {over_s:.0f} s too old and still there"


def what_is_let_go_of_is_old_and_stored(known):
    """Deletions from history and dead letters: nothing that somebody may still want, nor the last marker."""
    evidence = known.evidence
    facts = defaultdict(list)
    for topic, some in ((HISTORY, evidence.history), (LETTERS, evidence.dead_letters)):
        for fact in some:
            facts[topic, fact.partition].append(fact)
    for gone in evidence.deletions:
        if gone.topic not in (HISTORY, LETTERS):
            continue
        if gone.topic == HISTORY and gone.offset > gone.stored_to:
            yield f"{gone} is above what is stored"
        age_us = evidence.record_ages.get(gone.topic, 0) * 1e6
        if not age_us:
            continue
        until_us = gone.at_us - age_us + SEEN_S * 1e6 + evidence.clock_skew_us
        young = [
            each for each in facts[gone.topic, gone.partition] if each.offset < gone.offset and each.at_us > until_us
        ]
        if young:
            yield f"{gone} takes {len(young)} away that are younger than {age_us / 1e6} s: {where(young[0])}"


def what_is_old_is_let_go_of_in_the_end(known):
    evidence = known.evidence
    if not evidence.finished:
        return
    for topic, some in ((HISTORY, evidence.history), (LETTERS, evidence.dead_letters)):
        age_s = evidence.record_ages.get(topic, 0)
        until_us = evidence.ended_us - (age_s + LATE_S) * 1e6 - evidence.clock_skew_us
        for fact in some:
            start, stored_to = evidence.starts[topic, fact.partition]
            if age_s and fact.at_us < until_us and start <= fact.offset < stored_to:
                yield f"{where(fact)} in {topic} is older than {age_s} s and still there"
