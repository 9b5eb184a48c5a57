"""`python -m tests.chaos`: its seed, its rounds, its report and its exit code; brokers and services are in words only."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from tests.chaos import __main__ as command
from tests.chaos.story import Done, Round


@pytest.fixture
def verdicts(monkeypatch, tmp_path):
    """Those of the rounds, one after the other; after the last the time is over."""
    verdicts, now = [], [0.0]

    class Rounds:
        def __init__(self, stage, story):
            self.story = story

        def round(self, steps, namespace, folder):
            assert folder.is_dir()
            self.story.done += [Done(next(steps), 1.0, 2.0, 3.0) for _ in range(2)]
            self.story.rounds.append(Round(verdict=verdicts.pop(0)))
            now[0] += 0.0 if verdicts else 1_000.0
            return self.story.rounds[-1]

    monkeypatch.setattr(command, "Stage", lambda folder: nullcontext())
    monkeypatch.setattr(command, "Chaos", Rounds)
    monkeypatch.setattr(command.time, "monotonic", lambda: now[0])
    return verdicts


def test_a_sound_run_goes_on_until_its_time_is_over_and_ends_with_0(verdicts, tmp_path, capsys):
    verdicts += ["sound", "sound"]
    assert command.main(["5", "7", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("chaos for 5 minutes, seed 7\n")
    assert "4 steps" in told and f"report: {tmp_path / 'report.md'}" in told
    assert (tmp_path / "report.md").exists()


def test_a_run_that_is_not_sound_ends_there_with_1(verdicts, tmp_path, capsys):
    verdicts += ["money_is_conserved: 1", "sound"]
    assert command.main(["5", "7", str(tmp_path)]) == 1
    assert verdicts == ["sound"]
    assert "money_is_conserved: 1" in capsys.readouterr().out


def test_a_run_without_a_verdict_is_not_sound(verdicts, tmp_path):
    verdicts += ["no verdict"]
    assert command.main(["5", "7", str(tmp_path)]) == 1


def test_the_same_seed_repeats_the_order_and_without_one_it_is_told_which_it_was(
    verdicts, tmp_path, capsys, monkeypatch
):
    orders = []
    for arguments in (["5", "7"], ["5", "7"], ["5"]):
        verdicts.append("sound")
        monkeypatch.setattr(command, "FOLDER", tmp_path / str(len(orders)))
        command.main(arguments)
        orders.append([line for line in capsys.readouterr().out.splitlines() if "served again after" in line])
    assert orders[0] == orders[1] != orders[2]
    [folder] = (tmp_path / "2").iterdir()
    assert folder.name.startswith("seed-")


def test_no_step_is_taken_from_the_deck_that_cannot_begin_in_time(verdicts):
    asked = iter(range(5))
    assert list(command.before(-1.0, asked)) == []
    assert next(asked) == 0
