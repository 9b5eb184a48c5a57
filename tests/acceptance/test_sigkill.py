"""kill -9 in the middle of each of the seven patterns; the process that comes after finishes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .crash_checks import check_file, completed
from .crash_programs import HOLD_AFTER, LEDGER, PATTERNS

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0


class Killable:
    """Processes one after the other on one file."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.path, self.ledger = folder / "a.db", folder / "ledger"
        self._names = names

    @contextmanager
    def life(self, hold_after: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
        env = {**os.environ, LEDGER: str(self.ledger), "PERDURE_LOG_LEVEL": "ERROR"}
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        if hold_after is not None:
            env[HOLD_AFTER] = str(hold_after)
        command = [sys.executable, "-m", "tests.acceptance.crash_child", str(self.path), *self._names]
        process = subprocess.Popen(command, env=env, cwd=ROOT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def lines(self) -> list[str]:
        return self.ledger.read_text().splitlines() if self.ledger.exists() else []

    def wait_for_lines(self, count: int, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + DEADLINE_S
        while len(self.lines()) < count and process.poll() is None:
            assert time.monotonic() < end, f"{len(self.lines())} activities, {count} wanted"
            time.sleep(0.002)

    def finish(self) -> None:
        with self.life() as process:
            assert process.wait(DEADLINE_S) == 0

    def completed(self) -> dict[str, str]:
        """By idempotency key."""
        found = completed(self.path)
        return {"/".join(map(str, place)): output for place, output in found.items()}


@pytest.mark.parametrize("name", PATTERNS)
def test_killed_after_some_activities_a_restart_finishes_and_repeats_none_that_was_recorded(name: str, tmp_path: Path):
    pattern = PATTERNS[name]
    some = pattern.activities // 2
    lives = Killable(tmp_path, name)
    with lives.life(hold_after=some) as process:
        lives.wait_for_lines(some + 1, process)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    recorded = lives.completed()
    lives.finish()
    check_file(lives.path, pattern)
    tries = Counter(lives.lines())
    assert {key: tries[key] for key in recorded} == dict.fromkeys(recorded, 1)
    assert len(tries) >= pattern.activities


def test_killed_again_and_again_with_all_seven_under_way_everything_ends_as_it_must(tmp_path: Path):
    """At moments that nothing holds still. History has each once; what was recorded runs once more at the most.

    Activities run at least once: the worker's position is stored a moment after the result, and a kill in that moment
    has the task delivered again, whose second result is refused.
    """
    lives, recorded = Killable(tmp_path, *PATTERNS), {}
    for _ in range(3):
        with lives.life() as process:
            lives.wait_for_lines(len(lives.lines()) + 6, process)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        tries = Counter(lives.lines())
        recorded |= {key: tries[key] for key in lives.completed() if key not in recorded}
    lives.finish()
    for pattern in PATTERNS.values():
        check_file(lives.path, pattern)
    tries = Counter(lives.lines())
    assert recorded
    again = {key: tries[key] - recorded[key] for key in recorded if tries[key] != recorded[key]}
    assert set(again.values()) <= {1}, again
    assert len(again) < len(recorded) / 2  # the rule is that it is not
