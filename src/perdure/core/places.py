"""Where user code stood and what it asked for, in words: for failures, stalls and divergences."""

from __future__ import annotations

from typing import Any

from perdure.core.clipping import text_of
from perdure.core.events import ActivityScheduled, ChildScheduled, Event, TimerCreated

__all__ = ["description", "key", "trace", "where"]

_PACKAGE = __file__.removesuffix("places.py").rstrip("/\\").removesuffix("core")  # where the engine's own frames are


def key(action: Event) -> tuple[Any, ...]:
    """What must agree between history and code. Inputs and due times may change with a deployment; order may not."""
    if isinstance(action, ActivityScheduled):
        return ("activity", action.cause, action.task_id, action.name)
    if isinstance(action, ChildScheduled):
        return ("child", action.cause, action.task_id, action.name, action.child_id)
    if isinstance(action, TimerCreated):
        return ("timer", action.cause, action.task_id, action.event_name)
    return ("custom status", action.cause)  # type: ignore[union-attr]


def description(action: Event) -> str:
    kind, cause, *rest = key(action)
    named = " ".join(str(part) for part in rest[1:] if part)
    return f"{kind} {named!r} after event {cause}" if named else f"{kind} after event {cause}"


def _frames(error: BaseException) -> list[str]:
    """file:line of each frame below the engine's own, outermost first (at most 50, the middle of more is left out)."""
    places: list[str] = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            places.append(f'  File "{code.co_filename}", line {step.tb_lineno}, in {code.co_qualname}')
        step = step.tb_next
    return places if len(places) <= 50 else [*places[:25], "  …", *places[-25:]]


def trace(error: BaseException) -> str:
    return "\n".join([*_frames(error), f"{type(error).__name__}: {text_of(error)}"])


def where(error: BaseException) -> str:
    """The outermost line of the user's: where the orchestrator itself stood."""
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            return f"(at {code.co_filename}:{step.tb_lineno})"
        step = step.tb_next
    return ""
