"""How a batch that cannot be committed for its content is brought down to the one command that is at fault."""

from __future__ import annotations

import structlog

__all__ = ["BadContent", "Halving"]

log = structlog.get_logger("perdure.orchestrator")


class BadContent(Exception):
    """A batch cannot be encoded, or is refused for its content."""


class Halving:
    """`size` is how many commands a batch may hold at most for now."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = most
        self.poison: set[int] = set()  # offsets of commands that cannot be committed

    def failed(self, offsets: list[int], error: BaseException) -> None:
        if len(offsets) > 1:
            self.size = max(1, min(len(offsets), self.size) // 2)
            return
        self.poison.update(offsets)
        log.error("a command cannot be committed and becomes a dead letter", offsets=offsets, error=str(error))

    def succeeded(self) -> None:
        self.size = min(self.size * 2, self._most)
