"""Dead letters are exactly what could not be handled, and each is settled once."""

from __future__ import annotations

from collections import Counter, defaultdict

from tests.simulation.laws.known import COMMANDS_TOPIC, where
from tests.simulation.laws.places import home
from tests.simulation.laws.referee import UNREAD

REGISTRY_S = 45.0  # so long after it was in trouble may it still count as away
LETTERS = "sim.dead-letters"


def dead_letters_are_the_poison(known):
    """Of each record of commands that is garbage, and of each client's command that was refused where nobody waits for an
    answer, there is one dead letter, as it was; of anything else none. A purge for the sake of age is no news.
    """
    evidence = known.evidence
    records = {(COMMANDS_TOPIC, fact.partition, fact.offset): fact for fact in evidence.commands}
    due = Counter({place: 1 for place, fact in records.items() if _is_garbage(known, fact)})
    for outcome in known.refereed.outcomes.values():
        if outcome.reason and outcome.reason != "misrouted" and _nobody_is_told(outcome.command):
            due[COMMANDS_TOPIC, outcome.command.partition, outcome.command.offset] += 1
    for place, letters in known.letters.items():
        if place[0] != COMMANDS_TOPIC and place[0] in known.sources:
            continue  # laws/sources.py asks of those
        if len(letters) > due[place]:
            yield f"{len(letters)} dead letters of {place} where {due[place]} were due: {letters[0].fields}"
        yield from (
            f"the dead letter of {place} is not as it was" for each in letters if each.value != records[place].value
        )
    if evidence.finished:
        for place, count in due.items():
            if len(known.letters.get(place, ())) < count:
                yield f"no dead letter of {place} {records[place].value[:60]!r}: what was not handled is nowhere"


def _is_garbage(known, fact):
    """What cannot be known to be garbage where it came to is sent home first."""
    if fact.value not in known.poison:
        return False
    sealed = fact.value[:1] == b"\0" and len(fact.value) >= 5 and fact.instance
    return not sealed or home(fact.instance, known.evidence.partitions) == fact.partition


def _nobody_is_told(command):
    fields = command.fields
    if command.name not in (
        "StartWorkflow",
        "RaiseEvent",
        "SuspendWorkflow",
        "ResumeWorkflow",
        "TerminateWorkflow",
        "PurgeWorkflow",
    ):
        return False
    return not (fields.get("reply_to") or fields.get("parent_id") or fields.get("requested_by") == "retention")


def what_is_not_read_had_no_schema(known):
    """A command stays unread only if the registry was in trouble when it was asked for, or shortly before."""
    troubles = known.evidence.registry_troubles
    for outcome in known.refereed.outcomes.values():
        if outcome.reason == UNREAD:
            at_us = outcome.marker.at_us
            if not any(since <= at_us <= to + REGISTRY_S * 1e6 for since, to in troubles):
                yield f"{where(outcome.command)} was not read at {at_us}, and the registry was well"


def letters_are_settled_once(known):
    """One mark a letter; one record sent again, as the letter has it, in the same commit as a mark that says so."""
    evidence, marks, again = known.evidence, defaultdict(list), defaultdict(list)
    letters = {f"{fact.partition}-{fact.offset}": fact for fact in evidence.dead_letters}
    for mark in evidence.marks:
        marks[f"{mark.partition}-{mark.instance}"].append(mark)
    for fact in evidence.commands:
        letter_id = dict(fact.headers).get("perdure-replay-of", b"").decode()
        if letter_id and "perdure-forwarded" not in dict(fact.headers):
            again[letter_id].append(fact)
    for letter_id in {**marks, **again}:
        some, sent = marks[letter_id], again[letter_id]
        if letter_id not in letters:
            yield f"{letter_id} is no dead letter, and was settled"
            continue
        if len(some) != 1:
            yield f"dead letter {letter_id} was settled {len(some)} times"
        due = sum(known.told_by(mark)["what"] == "replayed" for mark in some)
        if len(sent) != due:
            yield f"dead letter {letter_id} was sent again {len(sent)} times, its mark says {due}"
        for fact in sent:
            if letters[letter_id].fields.get("perdure-subscription"):
                continue
            if (fact.value, fact.instance) != (letters[letter_id].value, letters[letter_id].instance):
                yield f"{where(fact)} is not what dead letter {letter_id} holds"
            if some and fact.at_us != some[0].at_us:
                yield f"{where(fact)} was sent at another time than its mark"


def operators_are_told_what_was_settled(known):
    """Whoever is told that a letter is replayed, or dropped, asked for that; who is told otherwise came second, or too late."""
    marks = {f"{mark.partition}-{mark.instance}": mark for mark in reversed(known.evidence.marks)}
    for at_us, request, what, told in known.evidence.settlements:
        mark = marks.get(told.letter_id)
        said = known.told_by(mark) if mark else {}
        ours = mark is not None and said["request"] == request
        if told.state and not (ours and said["what"] == told.state == {"replay": "replayed", "drop": "dropped"}[what]):
            yield f"{request} was told at {at_us} that {told.letter_id} is {told.state}; its mark says {said}"
        if told.reason == "LetterSettled" and (mark is None or ours):
            yield f"{request} was told that {told.letter_id} is settled already; its mark says {said}"
        if told.reason == "NotReplayable" and ours:
            yield f"{request} was told that {told.letter_id} cannot be replayed, and it was"
