"""Whose history grows long is told of once, in time: replay costs what a history is long."""

from __future__ import annotations

import structlog

from perdure.core.limits import HISTORY_BYTES_WARN, HISTORY_EVENTS_WARN
from perdure.core.sizes import payload_bytes
from perdure.core.turn import Turn

__all__ = ["warn_of_length"]

log = structlog.get_logger("perdure.orchestrator")


def warn_of_length(turn: Turn) -> None:
    """By the turn that passes either bound."""
    events, size = turn.instance.next_seq - 1, turn.instance.history_bytes
    longer = events - len(turn.events) < HISTORY_EVENTS_WARN <= events
    heavier = size >= HISTORY_BYTES_WARN and size - sum(map(payload_bytes, turn.events)) < HISTORY_BYTES_WARN
    if turn.instance.active and (longer or heavier):
        log.warning(
            "a history grows long: replay takes time in proportion; use continue_as_new",
            instance_id=turn.instance.instance_id, workflow=turn.instance.name, events=events, payload_bytes=size,
        )  # fmt: skip
