"""Dead letters are exactly what could not be handled."""

from __future__ import annotations

from collections import Counter


def dead_letters_are_the_poison(known):
    """Each garbage record once, as it was. A client's command without a reply address may lie here too, if it was refused;
    a purge for the sake of age may not.
    """
    evidence = known.evidence
    due, there = Counter(evidence.poison), Counter(fact.value for fact in evidence.dead_letters)
    refused = Counter(
        outcome.command.value
        for outcome in known.refereed.outcomes.values()
        if outcome.reason
        and not outcome.command.fields.get("reply_to")
        and not outcome.command.fields.get("parent_id")
        and outcome.command.fields.get("requested_by") != "retention"
    )
    for value, count in there.items():
        if count > due[value] + refused[value]:
            fields = next(fact.fields for fact in evidence.dead_letters if fact.value == value)
            yield f"{count} dead letters {value[:60]!r} where {due[value] + refused[value]} were due: {fields}"
    if evidence.finished:
        for value, count in due.items():
            if there[value] < count:
                yield f"{there[value]} dead letters {value[:60]!r} of {count}: what was not handled is nowhere"
