"""How evidence is doctored: each function of the modules beside puts one wrong thing into the ordinary evidence, and names the
law that has to see it.
"""

from __future__ import annotations

from copy import copy, deepcopy

from tests.simulation.ordinary import ordinary

DOCTORS = []  # (name of the law, function)


def breaks(*laws):
    def note(doctor):
        DOCTORS.extend((law, doctor) for law in laws)
        return doctor

    return note


def doctored(doctor):
    """The ordinary evidence, with this wrong in it."""
    evidence = copy(ordinary())
    for name in (
        "history",
        "commands",
        "activities",
        "timers",
        "dead_letters",
        "replies",
        "poison",
        "deletions",
        "marks",
        "messages",
        "layouts",
    ):
        setattr(evidence, name, list(getattr(evidence, name)))
    for name in ("ledger", "answers", "rows", "events", "left", "ops", "deployments"):
        setattr(evidence, name, deepcopy(getattr(evidence, name)))
    doctor(evidence)
    return evidence


def find(facts, name, **fields):
    """The index of the first such record."""
    return next(
        place
        for place, fact in enumerate(facts)
        if fact.name == name
        and all((fact.instance if key == "instance" else fact.fields[key]) == value for key, value in fields.items())
    )


def change(facts, place, **fields):
    """Put other fields into a record; `at_us_committed` and `instance` are the record's own."""
    fact = facts[place]
    own = {"at_us": fields.pop("at_us_committed", fact.at_us), "instance": fields.pop("instance", fact.instance)}
    facts[place] = fact._replace(fields={**fact.fields, **fields}, **own)


def again(facts, place, **fields):
    """A record stands there twice, the second time with other fields."""
    facts.insert(place + 1, facts[place])
    change(facts, place + 1, **fields)


def answer(evidence, verb, instance, outcome="accepted"):
    return next(
        each for each in evidence.answers if (each.verb, each.instance, each.outcome) == (verb, instance, outcome)
    )
