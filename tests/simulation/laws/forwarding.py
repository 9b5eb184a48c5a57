"""Commands that came to the wrong partition are sent home, each once."""

from __future__ import annotations

from collections import Counter

from tests.simulation.laws.known import where


def what_came_astray_is_sent_home_once(known):
    copies = Counter()
    for fact in known.evidence.commands:
        if (came := dict(fact.headers).get("perdure-forwarded")) is not None:
            copies[came.decode(), fact.instance, fact.value] += 1
    for outcome in known.refereed.outcomes.values():
        command = outcome.command
        count = copies[f"{command.partition}/{command.offset}", command.instance, command.value]
        if count != (outcome.reason == "misrouted"):
            yield f"{where(command)} was sent on {count} times, its outcome is {outcome.reason or 'accepted'}"
