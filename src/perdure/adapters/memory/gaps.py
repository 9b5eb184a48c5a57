"""What of a history is not there. Used by all adapters: each has its own way to lose a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perdure.core.rows import InstanceRow
from perdure.ports.errors import HistoryDamaged
from perdure.ports.store import StoredEvent, StoredInstance

__all__ = ["check_gaps", "gap_of"]


def check_gaps(found: Mapping[str, StoredInstance]) -> None:
    """Raises HistoryDamaged."""
    gaps = {instance_id: gap_of(stored.row, stored.events) for instance_id, stored in found.items()}
    if damages := {instance_id: gap for instance_id, gap in gaps.items() if gap}:
        raise HistoryDamaged(damages)


def gap_of(row: InstanceRow, events: Sequence[StoredEvent]) -> str:
    """Which of the events up to `last_seq`, given in order, is the first that is missing; "" if none is."""
    if row.status == "PURGED" or (len(events) >= row.last_seq and (not events or events[-1].seq == len(events))):
        return ""
    missing = next((seq for seq, event in enumerate(events, 1) if event.seq != seq), len(events) + 1)
    return f"event {missing} of {row.last_seq} is missing"
