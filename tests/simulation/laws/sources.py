"""Of every message of a source, each subscription makes one command, or one dead letter, or passes it over."""

from __future__ import annotations

import json
import re
from collections import defaultdict

from tests.simulation.laws.known import where
from tests.simulation.model import same

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def each_message_counts_once(known):
    """For each subscription; what it makes of it is told here once more, for the expressions that scenarios use."""
    evidence = known.evidence
    commands, letters = defaultdict(list), defaultdict(list)
    for fact in evidence.commands:
        headers = dict(fact.headers)
        if fact.fields.get("command_id", "").startswith("sub/") and not headers.keys() & AGAIN:
            commands[fact.fields["command_id"]].append(fact)
    for place, some in known.letters.items():
        for letter in some:
            if name := letter.fields.get("perdure-subscription"):
                letters[f"sub/{name}/{'/'.join(map(str, place))}"].append(letter)
    for name, subscription in evidence.subscriptions.items():
        for message in evidence.messages:
            about = f"sub/{name}/{subscription['topic']}/{message.partition}/{message.offset}"
            due = _due(subscription, message.value)
            made, dead = commands.pop(about, []), letters.pop(about, [])
            if evidence.finished and (len(made), len(dead)) != DUE[type(due)]:
                yield f"{about}: {len(made)} commands and {len(dead)} dead letters, due was {due}"
            yield from (f"{about}: the dead letter is another message" for each in dead if each.value != message.value)
            if isinstance(due, tuple):
                yield from (f"{where(each)} is not what {about} makes: {due}" for each in made if not _is(each, due))
            elif made:
                yield f"{about}: {where(made[0])}, due was {due}"
    yield from (f"{about} is of no message" for about in (*commands, *letters))


AGAIN = {"perdure-forwarded", "perdure-replay-of"}
DUE = {tuple: (1, 0), str: (0, 1), type(None): (0, 0)}  # commands and dead letters


def _due(subscription, value):
    """(kind, name, instance, payload) of a command; why it is none; None: passed over."""
    try:
        message = json.loads(value) if value else None
    except ValueError:
        return "no JSON"
    held = message if isinstance(message, dict) else {}
    if (held.get("kind") == "paid") != ("==" in subscription["when"]):
        return None
    if not isinstance(held.get("id"), str) or not ID.fullmatch(held["id"]):
        return "no id"
    if "workflow" in subscription:
        return "StartWorkflow", subscription["workflow"], held["id"], held.get("plan")
    return "RaiseEvent", subscription["event"], held["id"], held.get("data")


def _is(fact, due):
    kind, name, instance, payload = due
    held = fact.fields.get("input" if kind == "StartWorkflow" else "data")
    return (fact.name, fact.fields["name"], fact.instance) == (kind, name, instance) and same(held, payload)
