"""What a client needs of the way to its engine. Transports: the log itself, and HTTP to a gateway."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

from perdure.client.ids import IdMint
from perdure.core.commands import ClientCommand
from perdure.core.replies import InstanceSnapshot, Reply
from perdure.letters import LetterFilter, LetterPage, LetterRecord, Settlement, Settling
from perdure.ports.store import Filter, Page

__all__ = ["REQUEST_TIMEOUT_SECONDS", "ClientCommand", "Transport", "Until"]

Until = Literal["now", "started", "completed"]

REQUEST_TIMEOUT_SECONDS = 60.0
"""How long a client waits for an answer that needs no waiting: long enough for a new owner to take over."""


class Transport(ABC):
    """The way to an engine. Belongs to the event loop that first uses it."""

    ids: IdMint
    """Makes the ids of instances and commands."""

    @abstractmethod
    async def send(self, instance_id: str, command: ClientCommand, *, timeout_s: float | None = None) -> Reply:
        """Ask durably and return the answer: accepted, or a rejection by name.

        The command is the transport's from here on: it fills in the reply address, and a command_id where there is
        none. It is sent again every few seconds under the same command_id until answered; TimeoutError after
        timeout_s (None: a minute), and then nobody knows whether it took effect: a repeat under the same command_id
        is safe. Raises EngineUnavailable, EngineStopped, Unauthorized or an error of the log, each meaning that the
        command did not reach the engine.
        """

    @abstractmethod
    async def inspect(
        self, instance_id: str, *, until: Until = "now", timeout_s: float | None = None, detail: bool = False
    ) -> InstanceSnapshot | None:
        """The instance as its owner sees it, now or once it has started or completed; None if nobody knows it.

        TimeoutError if that takes longer than timeout_s (None or 0: for ever). `detail` adds what it awaits, as JSON.
        """

    @abstractmethod
    async def list(self, where: Filter, limit: int, after: str = "") -> Page:
        """A page of rows, newest first, from the history store, which lags behind the log (usually under 0.5 s).

        ValueError if `after` is not an earlier page's `next`.
        """

    @abstractmethod
    async def history(self, instance_id: str) -> Sequence[Any]:
        """The events of the latest run and generation, in order; raises InstanceNotFound.

        They come from the history store. It is given two seconds to hold what the owner had decided when asked;
        after that the latest events may be missing.
        """

    @abstractmethod
    async def list_letters(self, where: LetterFilter, limit: int, after: str = "") -> LetterPage:
        """A page of dead letters, oldest first. ValueError if `after` is not an earlier page's `next`."""

    @abstractmethod
    async def letter(self, letter_id: str) -> LetterRecord | None:
        """A dead letter with its record; None if there is none (any more). ValueError for what is no letter's id."""

    @abstractmethod
    async def settle_letters(
        self, letter_ids: Sequence[str], settling: Settling, *, request: str, requested_by: str = ""
    ) -> Sequence[Settlement]:
        """Replay or drop each, once; one answer for each, in their order. Safe to repeat under the same `request`.

        ValueError for what is no letter's id, and for too many of them.
        """

    @abstractmethod
    async def check(self) -> None:
        """Return if the engine's log and store can be reached; else raise what is wrong."""

    @abstractmethod
    async def close(self) -> None:
        """Give up what is still waited for. Twice is harmless."""
