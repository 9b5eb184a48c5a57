"""User code did what the plans say, and generations hand over what they have."""

from __future__ import annotations

from tests.simulation.laws.known import where


def code_does_what_its_plan_says(known):
    """Every action with its cause, every output, failure and continuation of every generation (see model)."""
    for place, standing in known.standings.items():
        if standing.complaint:
            yield f"{place}: {standing.complaint}"


def raised_events_are_carried_in_order(known):
    """What the earlier generation has not consumed, and nothing else, with save_events; without, only what code was not
    told of.
    """
    for (instance, run, generation), facts in known.generations.items():
        carried = [fact.fields for fact in facts if fact.name == "EventRaised" and fact.fields["carried"]]
        if [fields["seq"] for fields in carried] != list(range(2, len(carried) + 2)):
            yield f"{instance}/{run}/{generation}: carried events do not stand at its begin"
        before = known.standings.get((instance, run, generation - 1))
        if before is None:
            if carried:
                yield f"{instance}/{run}/{generation}: carried events of nowhere"
            continue
        if before.complaint:
            continue  # told above; what it would carry is not known
        wanted = [_event(fact.fields) for fact in before.carried]
        if [_event(fields) for fields in carried] != wanted:
            yield f"{instance}/{run}/{generation} carries {[_event(each) for each in carried]}, not {wanted}"


def _event(fields):
    return tuple(fields[name] for name in ("name", "data", "command_id", "requested_by"))


def instances_stall_for_a_reason(known):
    """Only a bad deployment makes code depart from its history, or be missing. "crash" is caution's word: an earlier owner
    had named the instance before it tried it. That it died of something else is chance.
    """
    for batches in known.batches.values():
        tried = set()  # (instance, owner)
        for batch in batches:
            for fact in (fact for facts in batch.events.values() for fact in facts if fact.name == "WorkflowStalled"):
                owner = batch.marker.fields["owner"]
                by_others = any(instance == fact.instance and other != owner for instance, other in tried)
                if not _has_reason(known, fact, by_others):
                    yield f"{where(fact)}: {fact.fields['reason']}: {fact.fields['detail']}"
            tried.add((batch.marker.fields["trying"], batch.marker.fields["owner"]))


def _has_reason(known, fact, was_tried):
    reason = fact.fields["reason"]
    if reason == "crash":
        return was_tried
    return reason in ("diverged", "unregistered") and 2 in known.versions(fact.writer, fact.at_us)
