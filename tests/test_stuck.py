"""No test waits for ever: neither the test itself, nor what is left when it was told that its time is up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STUCK = """
import asyncio, threading

async def test_a_task():
    async def inner():
        await asyncio.Event().wait()
    await asyncio.create_task(inner(), name="the other")

async def test_a_thread():
    await asyncio.to_thread(threading.Event().wait)

def test_after_it():
    pass
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("stuck") / "test_that_waits.py"
    file.write_text(STUCK)
    plugin = "import tests.conftest as told; told.TIDYING_SECONDS_MAX = 2; from tests.conftest import *"
    (file.parent / "told_sooner.py").write_text(plugin)
    command = [sys.executable, "-m", "pytest", "-n", "1", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    done = subprocess.run(
        [*command, "-p", "told_sooner", "-p", "no:cacheprovider", "--timeout", "5", str(file)],
        cwd=file.parent,
        env={"PYTHONPATH": f"{file.parent}:{ROOT}:{ROOT / 'src'}", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_task_that_waits_for_ever_fails_its_test_which_tells_where(said: str) -> None:
    assert "FAILED" in said and "::test_a_task - Failed: Timeout" in said, said
    assert "the other\n" in said and " inner\n" in said and "locks.py" in said, said


def test_a_thread_that_waits_for_ever_ends_its_process_and_the_others_run(said: str) -> None:
    assert "crashed while running" in said and "::test_a_thread" in said, said
    assert "Timeout (0:00:02)!" in said, said  # and then the stacks of its threads
    assert "1 passed" in said, said
