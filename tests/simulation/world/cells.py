"""The history store as one table of events and one of rows, written in separate requests: an append may stop between them.

As Cassandra does it: each event carries the position of its append, a deletion of a generation its own; whatever comes in
whichever order, the highest position counts. A row is written after the events that it speaks of. So an append that fails
half-way leaves events that no row tells of, and only who knows of them can clear them away.
"""

from __future__ import annotations

from perdure.adapters.memory import MemoryHistoryStore
from perdure.adapters.memory.gaps import check_gaps
from perdure.adapters.memory.store import _copied, _Stored
from perdure.ports.store import StoredEvent, StoredInstance


class CellStore(MemoryHistoryStore):
    """The rows are its base's. What a request of an append does is one method each."""

    def __init__(self):
        super().__init__()
        self.events = {}  # (instance, run, generation) to seq to (position, bytes)
        self._dropped = {}  # (instance, run, generation) to the position of its deletion

    def place(self, instance_id):
        """(row, position) of what is stored of the instance, or None."""
        stored = self._instances.get(instance_id)
        return None if stored is None else (stored.row, stored.position)

    def put_events(self, position, row, events):
        place = (row.instance_id, row.run, row.generation)
        if position > self._dropped.get(place, -1):
            held = self.events.setdefault(place, {})
            for event in events:
                if position >= held.get(event.seq, (-1, b""))[0]:
                    held[event.seq] = position, event.value

    def drop(self, position, place):
        self._dropped[place] = max(position, self._dropped.get(place, -1))
        left = {seq: held for seq, held in self.events.pop(place, {}).items() if held[0] > position}
        if left:
            self.events[place] = left

    def put_row(self, partition, position, row):
        stored = self._instances.get(row.instance_id)
        if stored is None or position >= stored.position:
            self._instances[row.instance_id] = _Stored(_copied(row), partition, position)

    async def load(self, instance_ids, *, events=True):
        found = {}
        for instance_id in instance_ids:
            stored = self._instances.get(instance_id)
            if stored is not None:
                row = _copied(stored.row)
                held = self.events.get((instance_id, row.run, row.generation), {}) if events else {}
                known = [StoredEvent(seq, value) for seq, (_, value) in sorted(held.items()) if seq <= row.last_seq]
                found[instance_id] = StoredInstance(row, known)
        if events:
            check_gaps(found)
        return found


def over(turn, stored):
    """Generations of which nothing is to be left once this turn is stored, beside what is stored: (run, generation)."""
    row = turn.row
    gone = dict.fromkeys((each.run, each.generation) for each in turn.replaced)
    if stored is not None:
        known = (stored[0].run, stored[0].generation)
        if known != (row.run, row.generation):
            gone[known] = None
    if row.status == "PURGED":
        gone[row.run, row.generation] = None
    return list(gone)
