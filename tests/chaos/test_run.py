"""A run's verdict is more than the checker's: what is never served again, ends by itself or leaves no evidence is not
sound. The services, the load and the checker are in words only.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.chaos import run
from tests.chaos.deck import Step, Trouble
from tests.chaos.run import Chaos
from tests.chaos.story import Story
from tests.faults.report import Report

CUT = Step((Trouble("kafka", "cut", "kafka"), Trouble("gateway", "slow", "cassandra", delay_s=0.1)), 0.0)


class Link:
    def __init__(self, done):
        self._done = done

    def __getattr__(self, name):
        return lambda **given: self._done.append(name)


class Cast:
    """Of which everything is served at once, or nothing."""

    namespace = "n"

    def __init__(self):
        self.report = Report("words")
        told = SimpleNamespace(accepted=set(), results={}, asked={})
        self.load = SimpleNamespace(told=told, retries=0, begin=lambda: None)
        self.lost, self.found, self.serves, self.done = [], {}, True, []
        self.stage = SimpleNamespace(links_to=lambda broker: [Link(self.done)])
        self.services = {"gateway": ["it"]}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def lane_of(self, service):
        return SimpleNamespace(links={"cassandra": Link(self.done)})

    def facts(self):
        return []

    def settle(self, seconds):
        self.done.append("settle")

    def complaints(self, patience):
        if isinstance(self.found, Exception):
            raise self.found
        return dict(self.found)

    def note_the_dead(self):
        pass

    def said(self):
        return "the last words"


class Served:
    def __init__(self, cast):
        self._cast = cast

    def take(self, facts):
        pass

    def missing(self, told):
        return [] if self._cast.serves or not self._cast.done else ["no timer of partition 1 since then"]

    def last(self, told):
        return 0.5, "workflow of partition 0"


@pytest.fixture
def cast(monkeypatch):
    cast = Cast()
    monkeypatch.setattr(run, "CALM_SECONDS", 0.0)
    monkeypatch.setattr(run, "Cast", lambda *_, **__: cast)
    monkeypatch.setattr(run, "Served", lambda *_: Served(cast))
    return cast


def story_of(*steps):
    story = Story(1)
    told = Chaos(None, story, served_s=0.0).round(iter(steps), "n", None)
    return story, told


def test_steps_are_taken_mended_and_judged(cast):
    story, told = story_of(CUT, CUT)
    assert cast.done == ["cut", "slows", "passes", "passes"] * 2 + ["settle"]
    assert [(done.recovery_s, done.last) for done in story.done] == [(0.5, "workflow of partition 0")] * 2
    assert (told.verdict, told.said, story.sound) == ("sound", "", True)


def test_what_is_never_served_again_is_mended_told_and_not_sound_and_nothing_is_done_after_it(cast):
    cast.serves = False
    story, told = story_of(CUT, CUT)
    assert cast.done == ["cut", "slows", "passes", "passes", "settle"]
    assert story.done[0].recovery_s is None
    assert "everything_is_served_again: 1" in told.verdict and "no timer of partition 1" in told.verdict
    assert told.said == "the last words" and not story.sound


def test_the_checkers_complaints_stand_beside_those_of_the_run(cast):
    cast.serves, cast.found = False, {"money_is_conserved": ["5 came from nowhere"]}
    _, told = story_of(CUT)
    assert "money_is_conserved: 1" in told.verdict and "everything_is_served_again: 1" in told.verdict


def test_a_service_that_ended_by_itself_is_a_complaint(cast):
    cast.lost.append("timer 7 ended by itself with 4")
    story, told = story_of(CUT)
    assert told.verdict.startswith("no_service_ends_by_itself: 1") and not story.sound


@pytest.mark.parametrize("error", [AssertionError("the follower was too slow"), TimeoutError()])
def test_without_evidence_there_is_no_sound_run(cast, error):
    cast.found = error
    story, told = story_of(CUT)
    assert told.verdict.startswith("there_is_evidence: 1") and not story.sound


def test_a_broker_that_does_not_come_back_ends_the_run_and_is_told(cast, monkeypatch):
    class Broker:
        def kill(self):
            pass

        def start(self):
            raise run.BrokersUnavailable("it did not serve")

    cast.stage.broker = lambda name: Broker()
    story, told = story_of(Step((Trouble("kafka", "killed"),), 0.0), CUT)
    assert "it did not serve" in told.verdict and len(story.done) == 1
