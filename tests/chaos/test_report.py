"""The report tells every step, every figure and the verdict, and its picture is a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.chaos import report
from tests.chaos.deck import Step, Trouble
from tests.chaos.story import Done, Round, Story, span

KILL = Step((Trouble("orchestrator", "killed", place=1),), 5.0)
PAIR = Step((Trouble("gateway", "slow", "cassandra", delay_s=0.05), Trouble("kafka", "stopped")), 9.0)


@pytest.fixture
def story():
    return Story(
        seed=7,
        done=[
            Done(KILL, 3.0, 3.1, 2.5, 6.0),
            Done(PAIR, 10.0, 19.0, 4.5, 9.5),
            Done(KILL, 30.0, 30.0, 3.5, 6.5, "timer of partition 1"),
        ],
        rounds=[Round(1.5, 100, 99, 140, 2_000, 7, "sound"), Round(1.7, 50, 50, 60, 900, 1, "sound")],
        ends_s=[1.0, 1.5, 20.0],
        lasted_s=60.0,
    )


def test_the_text_has_every_step_kind_figure_and_verdict(story):
    told = report.text(story)
    words = " ".join(told.split())
    assert "10 s  gateway: slow link, Cassandra (both ways, 50 ms) + Kafka stopped, for 9 s: served again" in told
    assert "orchestrator killed 2 0 2.5 / 3.0 / 3.5" in words
    assert "Kafka stopped 0 1 4.5" in words
    assert "3 steps in 60 s, seed 7; 150 starts accepted, 200 instances, 2900 records, 8 retries" in told
    assert told.endswith("verdict of round 1: sound\nverdict of round 2: sound")


def test_the_page_has_the_same_and_the_picture(story, tmp_path):
    page = report.write(story, tmp_path / "new").read_text()
    assert page.startswith("# Chaos, seed 7: sound\n")
    assert "| 3 | 30 | orchestrator killed (number 2) | 6.5 | 3.5 | timer of partition 1 |" in page
    assert "| orchestrator killed | 2 | 2.5 / 3.0 / 3.5 | 0 | – |" in page
    assert "| 2 | 50 | 50 | 60 | 900 | sound |" in page
    assert f"]({report.PICTURE})" in page
    assert (tmp_path / "new" / report.PICTURE).exists()


def test_the_picture_shows_every_trouble_once(story, tmp_path):
    report.write(story, tmp_path)
    root = ET.parse(tmp_path / report.PICTURE).getroot()
    titles = [each.text for each in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(titles) == sorted(str(trouble) for done in story.done for trouble in done.step.troubles)


def test_what_is_wrong_is_told_in_full_and_is_not_called_sound(story):
    story.rounds[1].verdict, story.rounds[1].said = "money_is_conserved: 1\n   5 came from nowhere", "the last words"
    story.done[1].recovery_s = None
    page = report.markdown(story)
    assert not story.sound
    assert page.startswith("# Chaos, seed 7: NOT SOUND\n")
    assert "5 came from nowhere" in page and "the last words" in page
    assert "never" in report.text(story) and "| never |" in page


def test_a_run_that_has_not_begun_has_a_report_too(tmp_path):
    story = Story(seed=1)
    assert not story.sound
    report.write(story, tmp_path)
    assert "0 steps" in report.text(story)


def test_a_span_tells_one_figure_or_three_and_what_never_came():
    assert span([]) == "–"
    assert span([2.0]) == "2.0"
    assert span([3.0, 1.0, 8.0]) == "1.0 / 3.0 / 8.0"
    assert span([None, 2.0]) == "2.0, never"
    assert span([None]) == "never"
