"""What must be true of a database after a crash and a restart, whenever the crash came.

Read from the file itself, by SQL: the engine is not asked.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from perdure.codec.avro import decode
from perdure.core.events import (
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    ChildCompleted,
    ChildScheduled,
    TimerCreated,
    TimerFired,
    WorkflowCompleted,
    WorkflowStarted,
)

from .crash_programs import Pattern

__all__ = ["check_file", "completed", "histories"]


def histories(path: Path) -> dict[str, list[Any]]:
    """The events in a database, by instance, in the order of the log."""
    found: dict[str, list[Any]] = {}
    with closing(_read_only(path)) as connection:
        topic = connection.execute("SELECT topic_id FROM topics WHERE name = 'perdure.history'").fetchone()
        if topic is not None:
            rows = f"SELECT key, value FROM records_{topic[0]} WHERE key <> x'' ORDER BY position"
            for key, value in connection.execute(rows):
                found.setdefault(bytes(key).decode(), []).append(decode(bytes(value)))
    return found


def _read_only(path: Path) -> sqlite3.Connection:
    """A reader that leaves the write-ahead file of a crash for the next engine to find."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def completed(path: Path) -> dict[tuple[str, str, int, int], str]:
    """Outputs of the activities whose completion is recorded: by instance, run, generation, task."""
    return {
        (instance_id, event.run, event.generation, event.task_id): event.output
        for instance_id, history in histories(path).items()
        for event in history
        if isinstance(event, ActivityCompleted)
    }


def check_file(path: Path, pattern: Pattern) -> None:
    """Raises AssertionError unless the pattern, and everything in the file, ended as it must, and nothing twice."""
    found = histories(path)
    last = found[pattern.name][-1]
    assert isinstance(last, WorkflowCompleted), last
    assert json.loads(last.output) == pattern.output
    for instance_id, history in found.items():
        assert len({event.run for event in history}) == 1, f"{instance_id} began more than once"
        generation = history[-1].generation
        _check_generation([event for event in history if event.generation == generation])
    with closing(_read_only(path)) as connection:
        rows = dict(connection.execute("SELECT instance_id, status FROM instances"))
    assert rows == dict.fromkeys(found, "COMPLETED")


def _check_generation(history: list[Any]) -> None:
    """Gapless, begun once, ended once; what was asked for ended once."""
    assert [event.seq for event in history] == list(range(1, len(history) + 1))
    kinds = Counter(type(event) for event in history)
    assert (type(history[0]), kinds[WorkflowStarted], kinds[WorkflowCompleted]) == (WorkflowStarted, 1, 1)
    for asked, *ended in ((ActivityScheduled, ActivityCompleted, ActivityFailed), (ChildScheduled, ChildCompleted)):
        tasks = Counter(event.task_id for event in history if isinstance(event, asked))
        ends = Counter(
            event.task_id
            for event in history
            if isinstance(event, tuple(ended)) and not getattr(event, "retry_at_us", 0)
        )
        assert ends == tasks
        assert set(tasks.values()) <= {1}
    fired = Counter(event.task_id for event in history if isinstance(event, TimerFired))
    created = Counter(event.task_id for event in history if isinstance(event, TimerCreated))
    assert fired <= created
