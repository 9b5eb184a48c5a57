"""Money: what the ledger's keys say, each counted once, is what the sagas of plans say."""

from __future__ import annotations

from collections import Counter, defaultdict

from tests.simulation.model import read


def money_is_conserved(known):
    """Of a generation that ended by itself the accounts hold what its sagas that were not refused move, which is 0 in all.

    Lenient: of one with a move whose workers were lost nobody knows whether it was made. One that was terminated is only
    explained: a key moves one amount on one account, and is that of a move which history asks for.
    """
    moved, where = _moved(known), defaultdict(list)
    for (key, place), movements in moved.items():
        if len(movements) > 1:
            yield f"{key} moved {sorted(movements)}"
        where[place].append((key, movements))
    for place, facts in known.generations.items():
        asked = {
            "/".join(map(str, (*place, fact.fields["task_id"]))): fact
            for fact in facts
            if fact.name == "ActivityScheduled" and fact.fields["name"] == "move"
        }
        for key, _ in where[place]:
            if key not in asked:
                yield f"{key} moved, and is none of the moves of {place}"
        if facts[-1].name == "WorkflowTerminated" or not known.standings[place].done or _is_broken(facts, asked):
            continue
        held = Counter()
        for _, movements in where[place]:
            for account, amount in movements:
                held[account] += amount
        wanted = _wanted(read(facts[0].fields["input"]))
        for account in sorted(held.keys() | wanted.keys()):
            if held[account] != wanted[account]:
                yield f"{place}: {account} has {held[account]}, its sagas make it {wanted[account]}"
        if sum(held.values()):
            yield f"{place}: {sum(held.values())} came from nowhere"


def _moved(known):
    """(key, place of its generation) to the movements under it."""
    found = defaultdict(set)
    for line in known.evidence.ledger:
        if line.get("did") == "moved":
            place = (line["instance"], line["run"], line["generation"])
            found[line["key"], place].add((line["account"], line["amount"]))
    return found


def _is_broken(facts, asked):
    """A move failed for good otherwise than by a refusal."""
    tasks = {fact.fields["task_id"] for fact in asked.values()}
    return any(
        fact.name == "ActivityFailed"
        and fact.fields["task_id"] in tasks
        and not fact.fields["retry_at_us"]
        and fact.fields["error_type"] != "NonRetryableError"
        for fact in facts
    )


def _wanted(plan):
    wanted = Counter()
    for step in plan["steps"]:
        if step["do"] == "saga" and step["fail_at"] is None:
            for move in step["moves"]:
                wanted[move["account"]] += move["amount"]
    return wanted
