"""At rest the store is the log's index: rows, and the latest generation byte for byte."""

from __future__ import annotations

TOMBSTONE = ("run", "status", "updated_at_us", "start_command_id", "command_ids")


def the_store_equals_the_log(known):
    """Of each instance the row and the events of the latest generation; of a purged one a tombstone and no events.

    Asked only of a world at rest.
    """
    evidence = known.evidence
    if not evidence.finished:
        return
    kept = set()
    for instance, life in known.refereed.lives.items():
        if life.started is None:
            continue
        yield from _row(life, evidence.rows.get(instance))
        place = (instance, life.run, life.generation)
        if life.ended == "PURGED":
            continue
        kept.add(place)
        wanted = {fact.fields["seq"]: fact.value for fact in known.generations[place]}
        held = evidence.events.get(place, {})
        if held != wanted:
            differing = sorted(seq for seq in held.keys() | wanted.keys() if held.get(seq) != wanted.get(seq))
            yield f"{place}: stored are {len(held)} of {len(wanted)} events, different: {differing}"
    begun = {instance for instance, life in known.refereed.lives.items() if life.started is not None}
    yield from (f"events of {each} are still stored" for each in sorted(evidence.events.keys() - kept))
    yield from (f"{each} has a row and no history" for each in sorted(evidence.rows.keys() - begun))


def _row(life, row):
    if row is None:
        yield f"{life.instance}/{life.run} ({life.status}) has no row"
        return
    wanted = life.row()
    for name in TOMBSTONE if life.ended == "PURGED" else wanted:
        if row[name] != wanted[name]:
            yield f"{life.instance}/{life.run} ({life.status}): its row has {name} {row[name]!r}, not {wanted[name]!r}"
