"""Nothing is written of a write version that the namespace has not been raised to."""

from __future__ import annotations

import json
from functools import cache

from tests.faults.records import SCHEMAS
from tests.simulation.laws.known import OTHERS, where

AVRO = b"\xc3\x01"
STRANGERS = {"perdure-forwarded", "perdure-replay-of"}  # what they wrote, sent on as it is


def nothing_newer_is_written_before_the_upgrade(known):
    """In any topic. Of what was written with a version, its fingerprint tells."""
    evidence = known.evidence
    if not evidence.is_held_back:
        return
    raised_us = [fact.at_us for fact in evidence.layouts if json.loads(fact.value).get("writes", 1) > 1]
    until_us = min(raised_us, default=evidence.ended_us + 1)
    if until_us < evidence.behind_until_us:
        yield f"the namespace was raised at {until_us}, and until {evidence.behind_until_us} somebody could not read that"
    newer = _newer()
    for some in (evidence.commands, evidence.history, evidence.activities, evidence.timers, evidence.replies):
        for fact in some:
            if fact.at_us < until_us and fact.value[2:10] in newer and not _is_a_strangers(fact):
                yield f"{where(fact)} by {fact.writer} is of a later write version, {until_us - fact.at_us} us too early"


def _is_a_strangers(fact):
    return fact.writer in OTHERS or bool(dict(fact.headers).keys() & STRANGERS) or not fact.value.startswith(AVRO)


@cache
def _newer():
    """Fingerprints of what the first write version does not have."""
    index = json.loads((SCHEMAS / "index.json").read_text(encoding="utf-8"))["writes"]
    first = set(index["1"].values())
    return {bytes.fromhex(each) for records in index.values() for each in records.values() if each not in first}
