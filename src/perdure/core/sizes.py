"""How much payload an event brings into a history: what HISTORY_BYTES_MAX counts."""

from __future__ import annotations

from typing import Any, Final

from perdure.core.events import (
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    ChildCompleted,
    ChildFailed,
    ChildScheduled,
    CustomStatusSet,
    EventRaised,
    WorkflowStarted,
)

__all__ = ["payload_bytes", "text_bytes"]

_TEXTS: Final[dict[type, tuple[str, ...]]] = {
    WorkflowStarted: ("input",),
    ActivityScheduled: ("input",),
    ActivityCompleted: ("output",),
    ActivityFailed: ("error_message", "stack_trace"),
    ChildScheduled: ("input",),
    ChildCompleted: ("output",),
    ChildFailed: ("error_message", "stack_trace"),
    EventRaised: ("data",),
    CustomStatusSet: ("value",),
}
"""The others hold nothing that grows, or end their generation."""


def payload_bytes(event: Any) -> int:
    """Of its payloads and its failure's texts, as UTF-8."""
    size = 0
    for name in _TEXTS.get(type(event), ()):
        size += text_bytes(getattr(event, name))
    return size


def text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
