"""The demo tells its story to the end; and its checks would notice if anything were amiss."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

import perdure as wf
from examples.demo.checks import check_endings, check_histories, check_kill, is_in_the_middle
from examples.demo.engine import DemoFailed
from examples.demo.looks import Look
from examples.demo.parts import FAN_OUT, PARTS, SAGA
from perdure.core.events import ActivityCompleted, ActivityScheduled, WorkflowStarted

CHECKOUT = Path(__file__).parents[2]
EARLY, KILL, LATE = 1, 2, 3


@pytest.mark.slow
def test_the_demo_survives_its_kill_and_ends_by_itself(tmp_path):
    path = os.pathsep.join([str(CHECKOUT / "src"), str(CHECKOUT)])
    ran = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": path, "COLUMNS": "120"},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}\n{(tmp_path / '.demo/engine.log').read_text()}"
    assert "SIGKILL" in ran.stdout
    assert "All as it should be" in ran.stdout
    table = ran.stdout.partition("final status")[2]
    for part in PARTS:
        assert f"{part.pattern}" in table
    assert table.count("COMPLETED") == len(PARTS) - 1
    assert table.count("TERMINATED") == 1


def history(*ended_at):
    """Of an instance that asked for one activity more than have ended, at these times."""
    asked = len(ended_at) + 1
    started = WorkflowStarted("r", 0, 1, EARLY, "w")
    scheduled = [ActivityScheduled("r", 0, 1 + n, EARLY, 1, n, "a") for n in range(1, asked + 1)]
    ended = [ActivityCompleted("r", 0, 1 + asked + n, at, n, 1) for n, at in enumerate(ended_at, start=1)]
    return [started, *scheduled, *ended]


def seen(part, events, status=wf.WorkflowStatus.RUNNING):
    now = datetime(2026, 1, 1)
    return Look(part, wf.WorkflowState(part.id, "w", status, now, now), 0, {part.id: events})


def both(events):
    return {part.id: seen(part, events) for part in (FAN_OUT, SAGA)}


def test_the_middle_is_where_some_are_done_and_some_are_not():
    assert is_in_the_middle(seen(SAGA, history(EARLY)))
    assert not is_in_the_middle(seen(SAGA, history()))
    assert not is_in_the_middle(seen(SAGA, history(EARLY), wf.WorkflowStatus.COMPLETED))


def test_an_activity_recorded_twice_is_noticed():
    whole = history(EARLY, LATE)
    once = [*whole, ActivityCompleted("r", 0, len(whole) + 1, LATE, 3, 1)]
    check_histories({SAGA.id: seen(SAGA, once)})
    twice = [*once, ActivityCompleted("r", 0, len(once) + 1, LATE, 3, 1)]
    with pytest.raises(DemoFailed, match="recorded as ended"):
        check_histories({SAGA.id: seen(SAGA, twice)})


def test_an_activity_that_never_ended_is_noticed():
    with pytest.raises(DemoFailed, match="recorded as ended"):
        check_histories({SAGA.id: seen(SAGA, history(EARLY))})


def test_a_gap_is_noticed():
    with pytest.raises(DemoFailed, match="gaps"):
        check_histories({SAGA.id: seen(SAGA, history(EARLY)[1:])})


def test_a_kill_that_came_too_early_or_too_late_is_noticed():
    check_kill(both(history(EARLY)[:2]), both(history(EARLY, LATE)), KILL)
    for ended_at in ((EARLY, EARLY), (LATE, LATE)):
        with pytest.raises(DemoFailed, match="did not come in the middle"):
            check_kill(both(history(*ended_at)[:2]), both(history(*ended_at)), KILL)


def test_a_history_that_was_rewritten_is_noticed():
    before = history(EARLY)
    after = [replace(before[0], name="another"), *before[1:]]
    with pytest.raises(DemoFailed, match="another one"):
        check_kill(both(before), both(after), KILL)


def test_a_wrong_ending_is_noticed():
    with pytest.raises(DemoFailed, match="'saga' is RUNNING"):
        check_endings({SAGA.id: seen(SAGA, history())})
