"""A crash at every commit of each of the seven patterns: the file as it was then, opened by a new engine.

The hook runs in the write thread right after each COMMIT, so nobody writes while the file and its write-ahead file are
copied: the copy is what a process killed at that instant leaves behind.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import perdure as wf
from perdure.codec.avro import encode

from .crash_checks import check_file, completed, histories
from .crash_programs import PATTERNS, Pattern, app

AT_ONCE = 4  # engines that wait for their timers and the disk side by side


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_LOG_LEVEL", "ERROR")


def _finish(path: Path, *patterns: Pattern, after_commit: Callable[[int], None] | None = None) -> None:
    """Open the file, do as a client that repeats what was not answered, and wait for the end."""
    with wf.embedded(app, path, after_commit=after_commit) as client:
        for pattern in patterns:
            pattern.ask(client)
        for pattern in patterns:
            state = pattern.end(client)
            assert state is not None
            assert state.runtime_status is wf.WorkflowStatus.COMPLETED, state
    for pattern in patterns:
        check_file(path, pattern)


def _finish_and_copy(path: Path, patterns: Sequence[Pattern], wanted: Callable[[int], bool]) -> list[Path]:
    """Finish it; copies of the database as each wanted commit left it."""
    copies: list[Path] = []

    def copy(number: int) -> None:
        if wanted(number):
            target = path.with_name(f"{path.stem}-{number}.db")
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{path}{suffix}", f"{target}{suffix}")
            copies.append(target)

    _finish(path, *patterns, after_commit=copy)
    return copies


def _crash_and_go_on(copy: Path, patterns: Sequence[Pattern], again_at: int) -> None:
    """Open what a crash left, finish; then the same with what a second crash, in that life, would have left."""
    before = completed(copy)
    again = _finish_and_copy(copy, patterns, lambda number: number == again_at)
    _check_not_repeated(before, copy)
    for second in again:
        earlier = completed(second)
        _finish(second, *patterns)
        _check_not_repeated(before, second)
        _check_not_repeated(earlier, second)


def _check_not_repeated(before: dict[tuple[str, str, int, int], str], path: Path) -> None:
    after, generations = completed(path), _generations(path)
    for place, output in before.items():
        instance_id, run, generation, _ = place
        assert generations[instance_id][0] == run
        if generations[instance_id][1] == generation:  # an earlier one's events may be gone: the next has begun
            assert after[place] == output, f"{place} was completed before the crash, and not as it was"


def _generations(path: Path) -> dict[str, tuple[str, int]]:
    return {key: (history[-1].run, history[-1].generation) for key, history in histories(path).items()}


def _crash_everywhere(patterns: Sequence[Pattern], folder: Path) -> int:
    copies = _finish_and_copy(folder / "original.db", patterns, lambda number: True)
    assert sorted(copies) == sorted(folder.glob("original-*.db"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        lives = [
            pool.submit(_crash_and_go_on, copy, patterns, again_at=1 + 3 * place % len(copies))
            for place, copy in enumerate(copies)
        ]
        for life in lives:
            life.result()
    return len(copies)


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_after_a_crash_at_any_commit_a_new_engine_finishes_with_the_same_result(pattern: Pattern, tmp_path: Path):
    assert _crash_everywhere([pattern], tmp_path) >= 8  # fewer, and not every commit was hooked


def test_the_same_with_all_seven_under_way_at_once(tmp_path: Path):
    _crash_everywhere(list(PATTERNS.values()), tmp_path)


# -- the checks see what they are for ------------------------------------------------------------------------


def test_the_check_sees_another_result(tmp_path: Path):
    pattern = PATTERNS["order"]
    _finish(tmp_path / "a.db", pattern)
    with pytest.raises(AssertionError):
        check_file(tmp_path / "a.db", replace(pattern, output="another"))


@pytest.mark.parametrize("fault", ["a gap", "an event twice", "another run"])
def test_the_check_sees_a_damaged_history(fault: str, tmp_path: Path):
    pattern, path = PATTERNS["order"], tmp_path / "a.db"
    _finish(path, pattern)
    event = histories(path)["order"][2]
    with closing(sqlite3.connect(path)) as connection, connection:
        (topic,) = connection.execute("SELECT topic_id FROM topics WHERE name = 'perdure.history'").fetchone()
        table = f"records_{topic}"
        rows = connection.execute(f"SELECT position FROM {table} WHERE key <> x'' ORDER BY position LIMIT 4").fetchall()
        if fault == "a gap":
            connection.execute(f"DELETE FROM {table} WHERE position = ?", rows[2])
        elif fault == "an event twice":
            connection.execute(f"UPDATE {table} SET value = ? WHERE position = ?", (encode(event), *rows[3]))
        else:
            other = encode(replace(event, run="0.0.77"))
            connection.execute(f"UPDATE {table} SET value = ? WHERE position = ?", (other, *rows[2]))
    with pytest.raises(AssertionError):
        check_file(path, pattern)
