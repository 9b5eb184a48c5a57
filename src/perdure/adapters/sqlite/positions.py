"""The groups' positions. Lazy ones wait for a transaction that is written anyway, or for a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from perdure.adapters.sqlite.statements import execute_rows
from perdure.adapters.sqlite.transaction import Transaction
from perdure.ports.log import Committed

__all__ = ["Place", "Positions", "write_positions"]

Place = tuple[str, str, int]  # group, topic, partition

LAZY_SECONDS = 1.0


class Positions:
    """What groups have committed, on the event loop. `flush` is called when lazy ones have waited long enough."""

    def __init__(self, stored: dict[Place, Committed], flush: Callable[[], None]) -> None:
        self._known: dict[tuple[str, int], dict[str, Committed]] = {}
        self._lazy: dict[Place, Committed] = {}
        self._flush = flush
        self._timer: asyncio.TimerHandle | None = None
        for place, position in stored.items():
            self._groups(place)[place[0]] = position

    def get(self, place: Place) -> Committed:
        known = self._groups(place).get(place[0])
        return Committed(-1) if known is None else Committed(known.offset, known.metadata)

    def lowest(self, topic: str, partition: int) -> int:
        """Of all groups that ever committed there."""
        return min(known.offset for known in self._known[topic, partition].values())

    def _groups(self, place: Place) -> dict[str, Committed]:
        return self._known.setdefault(place[1:], {})

    def put_lazy(self, place: Place, position: Committed) -> None:
        self._groups(place)[place[0]] = position
        self._lazy[place] = position
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LAZY_SECONDS, self._flush)

    def put(self, place: Place, position: Committed) -> Callable[[], None]:
        """Known at once; returns what takes it back, should it not be written."""
        group, groups = place[0], self._groups(place)
        before = groups.get(group)
        groups[group] = position
        self._lazy.pop(place, None)

        def take_back() -> None:
            if groups.get(group) is position:
                del groups[group]
                if before is not None:
                    groups[group] = before

        return take_back

    def take_lazy(self) -> dict[Place, Committed]:
        """Those that wait: the caller writes them, after what was asked for before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        taken, self._lazy = self._lazy, {}
        return taken

    def give_back(self, taken: dict[Place, Committed]) -> None:
        """They could not be written: they wait again, unless newer ones came."""
        for place, position in taken.items():
            if self._groups(place).get(place[0]) is position:
                self.put_lazy(place, position)


def write_positions(positions: dict[Place, Committed]) -> Callable[[Transaction], None]:
    flat: list[object] = []
    for place, position in positions.items():
        flat += (*place, position.offset, position.metadata)
    return lambda transaction: transaction.then(
        lambda connection: execute_rows(connection, "REPLACE INTO positions VALUES {rows}", 5, flat)
    )
