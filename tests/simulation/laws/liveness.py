"""Everything comes to its end, and leaves nothing behind."""

from __future__ import annotations

from tests.simulation.laws.known import OVER


def everything_ends(known):
    """The world came to rest, every run ended (children too), every operation was answered.

    Not where chance has parked an instance: its owners died, of something else, whenever it was its turn. It waits for
    somebody to deploy other code, and others for it; whether it was parked rightly is for another law.
    """
    evidence = known.evidence
    if is_parked(known):
        return
    if not evidence.finished:
        yield f"the world did not come to rest by {evidence.ended_us}"
    for (instance, run, generation), facts in known.generations.items():
        last = facts[-1]
        if last.name in OVER or last.name == "WorkflowContinuedAsNew":
            continue
        standing = known.standings.get((instance, run, generation))
        about = f"it waits for steps {standing.blocking}, events {standing.waits}" if standing else "it never began"
        if standing and standing.untold:
            about += f", its code was not told {standing.untold}"
        life = known.refereed.lives[instance]
        yield f"{instance}/{run}/{generation} is {life.status} after {last.name} {last.fields['seq']}: {about}"
    for answer in evidence.answers:
        if not answer.answered_us or answer.outcome == "unanswered":
            yield f"{answer.verb} {answer.instance} ({answer.command_id}, sent at {answer.sent_us}) was never answered"
    answered = {answer.op for answer in evidence.answers}
    for index, op in enumerate(evidence.ops):
        if index not in answered:
            yield f"operation {index} ({op['verb']} {op['instance']}) was never sent"


def nothing_leaks(known):
    """What should be empty at rest is."""
    if is_parked(known):
        return
    for name, left in known.evidence.left.items():
        if left:
            yield f"{name}: {len(left)} left: {left[:5]}"


def is_parked(known):
    """Somebody is, as one whose code kills the process."""
    return any(life.stalled and life.stalled["reason"] == "crash" for life in known.refereed.lives.values())
