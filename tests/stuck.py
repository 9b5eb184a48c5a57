"""What a test was waiting for when its time was up: every asyncio task, from its first call to its last one."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["tasks_of_this_thread"]

FRAMES = ("cr_frame", "ag_frame", "gi_frame")
AWAITED = ("cr_await", "ag_await", "gi_yieldfrom")


def tasks_of_this_thread() -> str:
    """A paragraph a task; empty without a loop or tasks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            tasks = asyncio.all_tasks(asyncio.get_event_loop())
        except RuntimeError:
            return ""
    return "\n\n".join(sorted("\n".join([task.get_name(), *_calls(task.get_coro())]) for task in tasks))


def _calls(awaited: Any) -> Iterator[str]:
    while frame := _first(awaited, FRAMES):
        assert isinstance(frame, FrameType)
        yield f"  {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
        awaited = _first(awaited, AWAITED)


def _first(of: object, names: tuple[str, ...]) -> object:
    return next((found for name in names if (found := getattr(of, name, None)) is not None), None)
