"""`make brokers` ends by telling how services reach what it has started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from perdure.services.settings import ServiceSettings
from tests.brokers import __main__ as command
from tests.brokers import docker, places, running
from tests.brokers.places import HOME

ROOT = HOME.parent
GIVEN = {"PERDURE_TEST_KAFKA": "127.0.0.1:9092", "PERDURE_TEST_CASSANDRA": "cassandra://127.0.0.1:9042"}


def told(environ, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.brokers", *arguments], cwd=ROOT, env={**os.environ, **environ}, timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def nothing_starts(monkeypatch, tmp_path):
    """Brokers that are started in words only. Gives the names of those that were."""
    begun = []

    class Broker:
        def __init__(self, name, port):
            self.prepare = lambda folder, log: ([name], port)

    for name in ("PERDURE_TEST_KAFKA", "PERDURE_TEST_CASSANDRA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(places, "HOME", tmp_path)
    monkeypatch.setattr(docker, "engine_answers", lambda: False)
    for name, port in (("kafka", 19092), ("cassandra", 19042)):
        monkeypatch.setitem(running.BROKERS, name, Broker(name, port))
    monkeypatch.setattr(running, "spawn", lambda command, log: begun.append(command[0]) or os.getpid())
    monkeypatch.setattr(running, "alive", lambda pid, mark: pid == os.getpid())
    monkeypatch.setattr(running, "wait_until_serving", lambda *_: None)
    return begun


def test_the_last_two_lines_are_what_a_service_reads():
    done = told(GIVEN, "start")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-2:] == ["PERDURE_LOG=kafka://127.0.0.1:9092", "PERDURE_STORE=cassandra://127.0.0.1:9042/perdure"]
    log, store = (line.partition("=")[2] for line in lines[-2:])
    assert ServiceSettings(log=log, store=store)


def test_they_are_the_last_also_where_brokers_had_to_be_started_and_the_same_the_next_time(nothing_starts, capsys):
    wanted = ["PERDURE_LOG=kafka://127.0.0.1:19092", "PERDURE_STORE=cassandra://127.0.0.1:19042/perdure"]
    assert command.main(["start"]) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[-2:] == wanted
    assert len(first) > 2  # what is started is told, before
    assert nothing_starts == ["kafka", "cassandra"]
    assert command.main(["start"]) == 0
    assert capsys.readouterr().out.splitlines() == wanted
    assert nothing_starts == ["kafka", "cassandra"]


def test_another_word_is_told_what_there_is():
    done = told(GIVEN, "begin")
    assert done.returncode == 2
    assert done.stderr == "usage: python -m tests.brokers start|stop|fetch\n"
