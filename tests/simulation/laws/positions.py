"""Markers: the only resume points of a partition."""

from __future__ import annotations

from tests.simulation.laws.known import COMMANDS, where


def markers_move_forward(known):
    """No position goes back; what is decided stays so; a new owner speaks first by a marker alone, so that events of the
    one before cannot follow it nor come between its own; after the last marker there is nothing.

    Lenient: where the store does not answer, whoever takes over may know less of what is stored than a marker says (the
    log has everything above it, whoever let go of it).
    """
    for partition, batches in known.batches.items():
        before = None
        for batch in batches:
            if before is None:
                if batch.events:
                    yield f"{_named(batch)} is the first, and events of {sorted(batch.events)} stand before it"
            else:
                yield from _follows(batch, before)
            yield from _sound(batch)
            before = batch
        last = batches[-1].marker.offset if batches else -1
        facts = [fact for fact in known.evidence.history if fact.partition == partition and fact.offset > last]
        yield from (f"{where(fact)} stands after the last marker" for fact in facts)


def _follows(batch, before):
    fields, earlier = batch.marker.fields, before.marker.fields
    decided = [fact.offset for facts in batch.commands.values() for fact in facts if fact.name in COMMANDS]
    takes_over = not batch.events and not decided
    for name in ("next_offset", "stored_to", "epoch"):
        if fields[name] < earlier[name] and not (name == "stored_to" and takes_over):
            yield f"{_named(batch)}: {name} fell from {earlier[name]} to {fields[name]}"
    if fields["owner"] != earlier["owner"] and not takes_over:
        yield f"{_named(batch)} decided {decided} and committed events of {sorted(batch.events)} before it took over"
    known = set(earlier["undecided"])
    again = [offset for offset in fields["undecided"] if offset < earlier["next_offset"] and offset not in known]
    if again:
        yield f"{_named(batch)}: {again} were decided, and are not any more"


def _sound(batch):
    fields = batch.marker.fields
    if fields["undecided"] != sorted(set(fields["undecided"])):
        yield f"{_named(batch)}: undecided are {fields['undecided']}"
    if any(offset >= fields["next_offset"] for offset in fields["undecided"]):
        yield f"{_named(batch)}: undecided above its position"
    if fields["stored_to"] > batch.marker.offset:
        yield f"{_named(batch)}: stored_to {fields['stored_to']} is ahead of it"
    writers = {fact.writer for facts in batch.events.values() for fact in facts}
    if writers - {batch.marker.writer}:
        yield f"{_named(batch)}: events of {sorted(writers)} stand before it"


def _named(batch):
    marker = batch.marker
    return f"marker {marker.partition}@{marker.offset} of {marker.fields['owner']}"
