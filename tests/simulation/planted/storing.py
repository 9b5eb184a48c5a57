"""Bugs between the log and the stores: what is written behind, evicted, loaded and let go."""

from __future__ import annotations

from dataclasses import replace

from perdure.ports.store import StoredTurn
from perdure.roles.orchestrator import writebehind
from perdure.roles.orchestrator.tail import Tail
from perdure.roles.orchestrator.tenure import Tenure
from tests.simulation.world.stores import SimulatedHistoryStore


def evicted_before_it_is_stored():
    """Nothing is held in memory until it is stored, nor waited for before it is read again."""
    return [(writebehind.WriteBehind, "pin", lambda self, turns: None)]


def the_store_forgets():
    """Every tenth turn is not stored, and nobody is told."""
    ordinary, count = SimulatedHistoryStore.append, iter(range(1, 1 << 60))

    async def append(self, partition, stored_to, position, turns):
        await ordinary(self, partition, stored_to, position, [turn for turn in turns if next(count) % 10])

    return [(SimulatedHistoryStore, "append", append)]


def stored_up_to_what_was_only_sent():
    """A store that does not answer is taken to have it all."""
    from perdure.ports.errors import StoreUnavailable

    ordinary = writebehind.WriteBehind._write

    async def write(self):
        try:
            await ordinary(self)
        except StoreUnavailable:
            self.stored_to = self._marker
            self._dirty.clear()
            self._unpin(self._counts)
            self._counts = {}
            self.on_stored()
            self._bytes = 0
            self._tell_weight()

    return [(writebehind.WriteBehind, "_write", write)]


def positions_of_writes_are_lost():
    """Late writes of an earlier owner are as good as new ones."""
    ordinary = SimulatedHistoryStore.append

    async def append(self, partition, stored_to, position, turns):
        await ordinary(self, partition, stored_to, 1 << 47, turns)

    return [(SimulatedHistoryStore, "append", append)]


def the_tail_is_loaded_and_not_stored():
    """A takeover counts its tail as stored as soon as it is in memory."""
    ordinary = Tail._loaded

    def loaded(self, live):
        key = live.instance.instance_id
        if key in self._left:
            self._behind.stored_to = self._marker_offset()
            self._done(key)
        else:
            ordinary(self, live)

    return [(Tail, "_loaded", loaded)]


def history_goes_before_it_is_stored():
    """The log is let go of up to the marker, whatever the store has."""
    ordinary = Tenure._let_the_log_go

    async def let_go(self, marker, decided_to):
        await ordinary(self, replace(marker, stored_to=self.marker_offset), decided_to)

    return [(Tenure, "_let_the_log_go", let_go)]


def commands_go_before_they_are_decided():
    """The log is let go of what was read, though some of it waits for the store."""
    ordinary = Tenure._let_the_log_go

    async def let_go(self, marker, decided_to):
        del decided_to
        await ordinary(self, marker, marker.next_offset)

    return [(Tenure, "_let_the_log_go", let_go)]


def nothing_is_evicted():
    """Caches grow for ever."""

    async def evict(self):
        return

    return [(Tenure, "_evict", evict)]


def what_was_replaced_is_not_cleared_away():
    """The store is not told of generations that were over before it took them. (The engine had this one.)"""
    ordinary = SimulatedHistoryStore.append

    async def append(self, partition, stored_to, position, turns):
        await ordinary(self, partition, stored_to, position, [StoredTurn(turn.row, turn.events) for turn in turns])

    return [(SimulatedHistoryStore, "append", append)]


BUGS = (
    evicted_before_it_is_stored, the_store_forgets, stored_up_to_what_was_only_sent, positions_of_writes_are_lost,
    the_tail_is_loaded_and_not_stored, history_goes_before_it_is_stored, commands_go_before_they_are_decided,
    nothing_is_evicted, what_was_replaced_is_not_cleared_away,
)  # fmt: skip
