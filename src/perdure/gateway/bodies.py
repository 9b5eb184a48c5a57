"""How many bytes of bodies a gateway holds at once. A body is counted before any of it is read, until it is answered."""

from __future__ import annotations

import asyncio
from collections import deque

from perdure.core.limits import GATEWAY_BODY_WAIT_SECONDS

__all__ = ["Bodies", "NoRoom", "Room"]


class NoRoom(Exception):
    """Others have taken all of it, and will not be done soon."""


class Bodies:
    """Who finds no room waits a little, in order. As many bytes may wait as may be held: the first of each are here already."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Room for a body of at most `size` bytes, to be given back. Raises NoRoom."""
        if not size:
            return
        if not self._waiting and self._held + size <= self._bytes_max:
            self._held += size
            return
        if sum(each for each, _ in self._waiting) + size > self._bytes_max:
            raise NoRoom
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await asyncio.wait([turn], timeout=GATEWAY_BODY_WAIT_SECONDS)
        except asyncio.CancelledError:
            self._step_back(size, turn)
            raise
        if not turn.done():
            self._step_back(size, turn)
            raise NoRoom

    def _step_back(self, size: int, turn: asyncio.Future[None]) -> None:
        if turn.done():
            self.give_back(size)
        else:
            self._waiting.remove((size, turn))
            self._let_in()  # those behind it may be smaller

    def give_back(self, size: int) -> None:
        self._held -= size
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._held + self._waiting[0][0] <= self._bytes_max:
            size, turn = self._waiting.popleft()
            self._held += size
            turn.set_result(None)


class Room:
    """What one body has taken of it. One that comes in chunks takes as much as any may have, until its end is there."""

    def __init__(self, bodies: Bodies, size: int) -> None:
        self._bodies = bodies
        self._size = size

    def keep(self, size: int) -> None:
        """The body is whole, and has `size` bytes: what is over is others' from now on."""
        if size < self._size:
            self._bodies.give_back(self._size - size)
            self._size = size

    def give_back(self) -> None:
        self.keep(0)
