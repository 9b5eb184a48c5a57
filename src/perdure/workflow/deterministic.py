"""Time, chance and ids for orchestrators: the same at every replay.

Each draw has its own seed, made of the generation's identity and the draw's number. So two draws in one step
differ, and what a draw gives depends on the draws before it and on nothing else. (Dapr seeds by the second:
two draws in one second are equal there.) The numbers of draws live with the context, which is made anew at
every replay.
"""

from __future__ import annotations

import hashlib
import random
import string
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

__all__ = ["DeterministicMixin"]

T = TypeVar("T")

_INT_MAX = 2**31 - 1


class DeterministicMixin:
    """Needs `_seed`, a text that names the generation for ever, and `current_utc_datetime`."""

    __slots__ = ("_draws",)

    if TYPE_CHECKING:
        _draws: int
        _seed: str

        @property
        def current_utc_datetime(self) -> datetime: ...

    def now(self) -> datetime:
        """`current_utc_datetime`: naive UTC."""
        return self.current_utc_datetime

    def random(self) -> random.Random:
        """A generator of random numbers, seeded anew at each call: keep it, to draw from one sequence.

        `Random.random()` gives the same numbers under every Python; the other methods are Python's own and
        have changed in the past.
        """
        return random.Random(self._draw())  # noqa: S311 - meant to repeat; no secret is made of it

    def uuid4(self) -> uuid.UUID:
        """A version 4 UUID, another at each call. It can be computed by whoever knows the instance: no
        secret.
        """
        return uuid.UUID(bytes=self._draw()[:16], version=4)

    def new_guid(self) -> uuid.UUID:
        """`uuid4` under its other name."""
        return self.uuid4()

    def random_string(self, length: int, *, alphabet: str | None = None) -> str:
        """Random letters and digits, or characters of the alphabet; ValueError for length < 0 or none."""
        if length < 0:
            raise ValueError(f"length is zero or more, not {length}")
        characters = string.ascii_letters + string.digits if alphabet is None else alphabet
        if not characters:
            raise ValueError("the alphabet is empty")
        draw = self.random()
        return "".join(characters[draw.randrange(len(characters))] for _ in range(length))

    def random_int(self, min_value: int = 0, max_value: int = _INT_MAX) -> int:
        """A random integer between the two, both included. ValueError if min_value > max_value."""
        if min_value > max_value:
            raise ValueError(f"min_value {min_value} is above max_value {max_value}")
        return self.random().randint(min_value, max_value)

    def random_choice(self, sequence: Sequence[T]) -> T:
        """A random element. IndexError if there is none."""
        if not sequence:
            raise IndexError("there is nothing to choose from: the sequence is empty")
        return self.random().choice(sequence)

    def _draw(self) -> bytes:
        number = getattr(self, "_draws", 0)
        self._draws = number + 1
        return hashlib.sha256(f"{self._seed}/{number}".encode()).digest()
